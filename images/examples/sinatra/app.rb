# One page, whose number comes from C.

require "answer"
require "sinatra"

set :server, :webrick
set :bind, "0.0.0.0"

get("/") { "The answer is #{Answer.compute(6, 7)}.\n" }
