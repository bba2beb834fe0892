-- Read a session and mark it seen, where it is in the index of its user.
--
-- KEYS  1 payload
-- ARGV  1 session key, the member of the index
--       2 three values with "\0" between: what comes before a user's id in the name of
--         an index, what comes after it, and for how many microseconds a mark serves: a
--         younger one is left as it is
--
-- Returns nil when there is no such session. Else the number of members that the index
-- has, a space, and the payload, in one text: it is read four times as fast as a list.
-- The number is 0 where the index does not know this session, or where the payload does
-- not show whose it is. Where Redis takes no writes, {that text, what it said}.
--
-- Whose session it is stands in the payload, where its user may have put anything. That
-- does no harm: only a session that the index holds is marked, and nobody guesses a key.

local payload = redis.call("GET", KEYS[1])
if not payload then return false end

-- The id of the user, as JSON, MessagePack or pickle (from protocol 4) write it.
local _, at = string.find(payload, "_auth_user_id", 1, true)
if not at then return "0 " .. payload end
local user = string.match(payload, '^"%s*:%s*"([^"\\]*)"', at + 1)
  or string.match(payload, '^"%s*:%s*(%-?%d+)', at + 1)
if not user then
  local head = string.byte(payload, at + 1) or 0
  if head >= 160 and head < 192 then
    user = string.sub(payload, at + 2, at + 1 + head - 160)
  else
    local _, start, length = string.find(payload, "^\148?\140(.)", at + 1)
    if not start then return "0 " .. payload end
    user = string.sub(payload, start + 1, start + string.byte(length))
  end
end
if string.find(user, "[^%w_.~-]") then
  user = string.gsub(user, "[^%w_.~-]", function(char)
    return string.format("%%%02X", string.byte(char))
  end)
end

local me = ARGV[1]
local before, after, serves = string.match(ARGV[2], "^(%Z*)%z(%Z*)%z(.*)")
local index = before .. user .. after

-- What stands there may be no index: then it does not know this session.
local newest = redis.pcall("ZREVRANGE", index, 0, 1, "WITHSCORES")
local score = newest[2]
if newest[1] ~= me then
  score = newest[3] == me and newest[4] or newest[1] and redis.call("ZSCORE", index, me)
  if not score then return "0 " .. payload end
end
local found = newest[3] and redis.call("ZCARD", index) .. " " .. payload or "1 " .. payload

local time = redis.call("TIME")
local seen = time[1] * 1000000 + time[2]
local age = seen - score
if age >= 0 and age < tonumber(serves) then return found end

-- A clock that was set back, or a replica's that lags, must not make this session look
-- older than the others.
if tonumber(newest[2]) >= seen then seen = newest[2] + 1 end
local added = redis.pcall("ZADD", index, seen, me)
if type(added) == "table" then return {found, added.err} end
return found
