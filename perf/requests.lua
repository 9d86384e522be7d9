-- What wrk asks a service: one seed a request. Arguments: how many vertices there are, and the seed of the choice.

local vertices

function init(arguments)
  vertices = tonumber(arguments[1])
  math.randomseed(tonumber(arguments[2]))
end

function request()
  return wrk.format("GET", "/samples?vid=" .. math.random(0, vertices - 1), {accept = "application/x-protobuf"})
end

function done(summary)
  local e = summary.errors
  local failed = e.connect + e.read + e.write + e.status + e.timeout
  -- The duration is in microseconds.
  io.write(string.format('{"requests": %d, "seconds": %f, "failed": %d}\n', summary.requests, summary.duration / 1e6, failed))
end
