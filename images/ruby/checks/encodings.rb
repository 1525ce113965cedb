# Text: the default is UTF-8, and every encoding and every converter that Ruby names can be loaded.
# They are objects of their own below enc/, opened by name, so nothing else shows that one is missing.

defaults = [Encoding.default_external, Encoding.find("locale"), Encoding.find("filesystem")]
raise "the default encodings are #{defaults.inspect}" unless defaults.uniq == [Encoding::UTF_8]

{
  "EUC-JP" => ["日本語ｶﾅ", "c6fccbdcb8ec8eb68ec5"],
  "Windows-31J" => ["日本語ｶﾅ①㈱", "93fa967b8ceab6c58740878a"],
  "ISO-2022-JP" => ["日本語", "1b2442467c4b5c386c1b2842"],
}.each do |name, (text, hex)|
  bytes = text.encode(name)
  raise "#{text} in #{name} is #{bytes.unpack1("H*")} and not #{hex}" unless bytes.unpack1("H*") == hex
  raise "#{text} in #{name} comes back as #{bytes.encode("UTF-8")}" unless bytes.encode("UTF-8") == text
end

converted = Encoding.list.reject(&:dummy?).count do |encoding|
  "a".dup.force_encoding(encoding).valid_encoding?
  Encoding::Converter.new(encoding, Encoding::UTF_8) && Encoding::Converter.new(Encoding::UTF_8, encoding)
rescue Encoding::ConverterNotFoundError
  false
end
# As many as in Ruby 2.7; none was ever taken away.
raise "only #{converted} encodings convert to UTF-8 and back" if converted < 84

puts "UTF-8 by default; #{Encoding.list.size} encodings load, #{converted} convert to UTF-8 and back"
