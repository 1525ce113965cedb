Gem::Specification.new do |spec|
  spec.name = "answer"
  spec.version = "1.0"
  spec.summary = "Multiplies, in C"
  spec.authors = ["distroless-ruby"]
  spec.license = "MIT"
  spec.homepage = "https://github.com/distroless-ruby/distroless-ruby"
  spec.files = ["ext/answer.c", "ext/extconf.rb"]
  spec.extensions = ["ext/extconf.rb"]
end
