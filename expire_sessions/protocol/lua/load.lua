-- Read a session and mark it seen, where it is in the index of its user.
--
-- KEYS  1 payload
-- ARGV  1 session key, the member of the index
--       2 what comes before a user's id in the name of an index
--       3 what comes after it
--       4 microseconds for which a mark serves: a younger one is left as it is
--
-- Returns nil when there is no such session. Else {payload, members, refusal}: members is
-- how many the index has, and 0 where it does not know this session, or where the payload
-- does not show whose it is. Refusal is what Redis said where it takes no writes.
--
-- Whose session it is stands in the payload, where its user may have put anything. That
-- does no harm: only a session that the index holds is marked, and nobody guesses a key.

local USER_ID = "_auth_user_id"

local payload = redis.call("GET", KEYS[1])
if not payload then return false end

-- Return the id of the user as JSON, pickle (from protocol 4) or MessagePack write it;
-- nil where it is written in another way.
local function user_id()
  local _, at = string.find(payload, USER_ID, 1, true)
  if not at then return nil end
  at = at + 1
  local found = string.match(payload, '^"%s*:%s*"([^"\\]*)"', at)
    or string.match(payload, '^"%s*:%s*(%-?%d+)%s*[,}]', at)
  if found then return found end
  local _, head, length = string.find(payload, "^\148?\140(.)", at)
  if head then return string.sub(payload, head + 1, head + string.byte(length)) end
  length = (string.byte(payload, at) or 0) - 160
  if length >= 0 and length < 32 then return string.sub(payload, at + 1, at + length) end
  return nil
end

local function quoted(text)
  return (string.gsub(text, "[^%w_.~-]", function(char)
    return string.format("%%%02X", string.byte(char))
  end))
end

local user = user_id()
if not user then return {payload, 0} end
local me, index = ARGV[1], ARGV[2] .. quoted(user) .. ARGV[3]

-- What stands there may be no index: then it does not know this session.
local score = redis.pcall("ZSCORE", index, me)
if type(score) ~= "string" then return {payload, 0} end

local time = redis.call("TIME")
local seen = time[1] * 1000000 + time[2]
local age = seen - score
if age >= 0 and age < tonumber(ARGV[4]) then
  return {payload, redis.call("ZCARD", index)}
end

-- A clock that was set back, or a replica's that lags, must not make this session look
-- older than the others.
local newest = redis.call("ZREVRANGE", index, 0, 0, "WITHSCORES")
if tonumber(newest[2]) >= seen then seen = newest[2] + 1 end
local added = redis.pcall("ZADD", index, seen, me)
return {payload, redis.call("ZCARD", index), type(added) == "table" and added.err or nil}
