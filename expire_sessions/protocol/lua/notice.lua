-- Put before the scripts that end sessions.

-- Leave word why a session has ended, for the browser that still has its cookie.
local function leave_notice(name, why, age)
  local time = redis.call("TIME")
  local when = string.format('{"when":%.0f,', time[1] * 1000000 + time[2])
  redis.call("SET", name, when .. why, "PX", age)
end

