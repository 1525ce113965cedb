# Time zones, with TZ=Asia/Tokyo from the environment. Without their files every zone silently is UTC.

raise "TZ is #{ENV["TZ"].inspect}" unless ENV["TZ"] == "Asia/Tokyo"
now = Time.now
raise "Asia/Tokyo is #{now.strftime("%z %Z")}" unless now.strftime("%z %Z") == "+0900 JST"

{
  "Europe/Berlin" => ["+0100", "+0200"],
  "America/New_York" => ["-0500", "-0400"],
  "Asia/Kolkata" => ["+0530", "+0530"],
  "UTC" => ["+0000", "+0000"],
}.each do |zone, offsets|
  ENV["TZ"] = zone
  found = [Time.local(2024, 1, 1), Time.local(2024, 7, 1)].map { |time| time.strftime("%z") }
  raise "#{zone} is #{found.join(" and ")} and not #{offsets.join(" and ")}" unless found == offsets
end

puts "Asia/Tokyo is +0900; summer time in Europe and America"
