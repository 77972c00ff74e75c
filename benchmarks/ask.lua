-- For wrk: asks for the paths of a file in turn, from a given one on; prints how long each answer took, as JSON.
-- wrk -s ask.lua URL -- FILE FIRST

local paths, turn = {}, 0

function init(arguments)
  for path in io.lines(arguments[1]) do
    paths[#paths + 1] = wrk.format("GET", path)
  end
  turn = tonumber(arguments[2])
end

function request()
  turn = turn % #paths + 1
  return paths[turn]
end

function done(summary, latency, requests)
  local faults = summary.errors
  local times = {}
  for place = 1, #latency do
    local microseconds, count = latency(place)
    times[place] = string.format("[%d,%d]", microseconds, count)
  end
  print(string.format(
    '{"requests":%d,"microseconds":%d,"faults":%d,"bytes":%d,"times":[%s]}',
    summary.requests, summary.duration,
    faults.connect + faults.read + faults.write + faults.status + faults.timeout,
    summary.bytes, table.concat(times, ",")
  ))
end
