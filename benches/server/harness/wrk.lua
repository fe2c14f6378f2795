-- What wrk sends:  wrk -t1 ... -s wrk.lua URL -- MODE PREFIX COUNT
--   get     GET of URL
--   create  POST /v2/images, ids PREFIX-<n>, n = 0, 1, ...
--   patch   PATCH a property of ids 0..COUNT-1, round and round
--   delete  DELETE ids 0..COUNT-1, each once, then stop
-- For one wrk thread. Prints one line of JSON. Latencies are per request, from sent to last byte, in microseconds.
local ffi = require("ffi")
ffi.cdef [[ typedef struct { long s; long ns; } ts_t; int clock_gettime(int, ts_t *); ]]
local ts = ffi.new("ts_t")
local function now() ffi.C.clock_gettime(1, ts); return tonumber(ts.s) + tonumber(ts.ns) / 1e9 end

local threads = {}
function setup(thread) table.insert(threads, thread) end

function init(args)
  mode, prefix, count = args[1] or "get", args[2] or "00000000", tonumber(args[3] or "0")
  n, issued, t0, t1 = 0, 0, 0, 0
  base = wrk.path:gsub("/$", "")
  hdr = {}
  for k, v in pairs(wrk.headers) do hdr[k] = v end
  if mode == "create" then hdr["Content-Type"] = "application/json" end
  if mode == "patch" then hdr["Content-Type"] = "application/openstack-images-v2.1-json-patch" end
  if mode == "get" then fixed = wrk.format("GET", wrk.path, hdr) end
end

local function id(i) return string.format("%s-0000-4000-8000-%012x", prefix, i) end

function request()
  if t0 == 0 then t0 = now() end
  issued = issued + 1
  if mode == "get" then return fixed end
  local i = n
  n = n + 1
  if mode == "create" then
    return wrk.format("POST", base .. "/v2/images", hdr, string.format(
      '{"id":"%s","name":"load-%d","container_format":"bare","disk_format":"raw","os_distro":"distro%d","build":"b%d","tags":["load","t%d"]}',
      id(i), i, i % 8, i % 100, i % 50))
  elseif mode == "patch" then
    return wrk.format("PATCH", base .. "/v2/images/" .. id(i % count), hdr,
      string.format('[{"op":"add","path":"/note","value":"v%d"}]', i))
  else
    if i >= count then
      t1 = now()
      wrk.thread:stop()                                               -- what is in flight now is not counted
      return wrk.format("GET", base .. "/v2/images/" .. id(0), hdr)
    end
    return wrk.format("DELETE", base .. "/v2/images/" .. id(i), hdr)
  end
end

function done(summary, latency, requests)
  local th = threads[1]
  local a, b, issued = th:get("t0"), th:get("t1"), th:get("issued")
  local e = summary.errors
  print(string.format(
    'JSON {"requests":%d,"seconds":%.6f,"bytes":%d,"p50":%.1f,"p90":%.1f,"p99":%.1f,"max":%.1f,"status_errors":%d,"socket_errors":%d,"timeouts":%d,"issued":%d,"exhausted_after":%.6f}',
    summary.requests, summary.duration / 1e6, summary.bytes, latency:percentile(50), latency:percentile(90),
    latency:percentile(99), latency.max, e.status, e.connect + e.read + e.write, e.timeout, issued,
    (b > 0) and (b - a) or 0))
end
