-- The guard of the nginx peers: key -> application -> plan, method and path, a count per key.
local REDIS_PORT = @REDIS@ -- 0: count writes in shared memory
local applications, counts = ngx.shared.applications, ngx.shared.counts
local plan_of = {}
local reading = { GET = true, HEAD = true, OPTIONS = true }
local writing = { POST = true, PUT = true, PATCH = true, DELETE = true }
local all = { GET = true, HEAD = true, OPTIONS = true, POST = true, PUT = true, PATCH = true, DELETE = true }
local plans = {
  open = { items = all, item = all },
  reader = { items = reading, item = reading },
}
local M = {}

function M.load(applications_map, plans_map)
  for line in io.lines(applications_map) do
    local key, application = line:match("^(%S+) (%S+)$")
    assert(applications:safe_set(key, application))
  end
  for line in io.lines(plans_map) do
    local application, plan = line:match("^(%S+) (%S+)$")
    plan_of[application] = plan
  end
end

-- Neither durable nor exact: what such gates do.
local function count_in_redis(name)
  local redis = ngx.socket.tcp()
  redis:settimeout(1000)
  if not redis:connect("127.0.0.1", REDIS_PORT) then return nil end
  if not redis:send("*2\r\n$4\r\nINCR\r\n$" .. #name .. "\r\n" .. name .. "\r\n") then return nil end
  local line = redis:receive()
  local count = line and tonumber(line:sub(2))
  if count == 1 then
    redis:send("*3\r\n$6\r\nEXPIRE\r\n$" .. #name .. "\r\n" .. name .. "\r\n$5\r\n86400\r\n")
    redis:receive()
  end
  redis:setkeepalive(600000, 1024)
  return count
end

function M.authorize()
  local key = ngx.var.http_x_api_key
  local application = key and applications:get(key)
  if not application then return ngx.exit(401) end
  local plan_name = plan_of[application]
  local plan = plans[plan_name]
  local method, path = ngx.req.get_method(), ngx.var.uri
  local operation
  if path == "/items" then
    operation = plan.items
  elseif ngx.re.find(path, "^/items/[^/]+$", "jo") then
    operation = plan.item
  end
  if not operation or not operation[method] then return ngx.exit(403) end
  local rate = counts:incr("r:" .. key, 1, 0, 1)
  if not rate or rate > 1000000 then return ngx.exit(429) end
  if writing[method] then
    local name = "w:" .. key
    local written = REDIS_PORT > 0 and count_in_redis(name)
    if REDIS_PORT == 0 then written = counts:incr(name, 1, 0, 86400) end
    if not written then return ngx.exit(503) end
    if written > 1000000000 then return ngx.exit(403) end
  end
  local var = ngx.var
  var.application = application
  var.plan = plan_name
end

-- Answers the number of writes counted in shared memory.
function M.report()
  local sum = 0
  for _, name in ipairs(counts:get_keys(0)) do
    if name:sub(1, 2) == "w:" then sum = sum + (counts:get(name) or 0) end
  end
  local text = tostring(sum)
  ngx.header.content_length = #text
  ngx.print(text)
end

return M
