-- wrk's script: every request is built once, then sent round robin over the keys.
writes = 0 -- global: read by done() through thread:get
local threads = {}
local gets, posts, at, pass = {}, {}, 0, 0
local mixed = @MIXED@

function setup(thread) table.insert(threads, thread) end

function init()
  local body = '{"title":"' .. string.rep("x", 1024 - 12) .. '"}'
  for key in io.lines("@KEYS@") do
    local fields = " HTTP/1.1\r\nHost: 127.0.0.1:@PORT@\r\nX-API-Key: " .. key
      .. "\r\nAccept: application/json\r\nUser-Agent: keystile-bench\r\n"
    gets[#gets + 1] = "GET /items/" .. (#gets % 100) .. fields .. "\r\n"
    if mixed then
      posts[#posts + 1] = "POST /items" .. fields
        .. "Content-Type: application/json\r\nContent-Length: 1024\r\n\r\n" .. body
    end
  end
end

-- In a mix each pass over the keys starts at another offset, so that every key writes, not each fifth.
function request()
  at = at + 1
  if at > #gets then at, pass = 1, pass + 1 end
  if mixed and (at + pass) % 5 == 0 then
    writes = writes + 1
    return posts[at]
  end
  return gets[at]
end

function done(summary, latency)
  local e, sent = summary.errors, 0
  for _, thread in ipairs(threads) do sent = sent + thread:get("writes") end
  io.write(string.format(
    'REPORT {"requests":%d,"micros":%d,"refused":%d,"broken":%d,"writes":%d,"p50":%d,"p99":%d}\n',
    summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout, sent,
    latency:percentile(50), latency:percentile(99)))
end
