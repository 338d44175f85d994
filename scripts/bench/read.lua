-- wrk: GET /api/accounts/{id} of customers in turn, each with a token of its own.
local requests = {}
local at = 0
function init(args)
  for line in io.lines(args[1]) do
    local customer, token = line:match("^(%d+) (.+)$")
    local path = "/api/accounts/" .. (1000000 + tonumber(customer))
    requests[#requests + 1] = wrk.format("GET", path, { Authorization = "Bearer " .. token })
  end
  math.randomseed(os.time())
  at = math.random(#requests)
end
function request()
  at = at % #requests + 1
  return requests[at]
end
function done(summary, latency, _)
  local errors = summary.errors
  local bad = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format("RESULT %.0f %.3f %.3f %d\n", summary.requests / (summary.duration / 1e6),
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, bad))
end
