# The command `erb` fills a template in.

require "open3"

output, errors, status = Open3.capture3("erb", stdin_data: "<% 3.times do |i| %><%= i * 7 %> <% end %>\n")
raise "#{status}: #{output}#{errors}" unless status.success? && errors.empty? && output == "0 7 14 \n"

puts "erb fills a template in"
