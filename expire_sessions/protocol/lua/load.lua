-- Read a session and mark it seen, where it is in the index of its user.
--
-- KEYS  1 payload
-- ARGV  1 session key, the member of the index
--       2 16 digits: for how many microseconds a mark serves, a younger one is left as it
--         is; and behind them what comes before a user's id in the name of an index
--       3 what comes after it; absent where nothing does
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

local _, at = string.find(payload, "_auth_user_id", 1, true)
if not at then return "0 " .. payload end
at = at + 1

-- Return the id of the user as JSON, MessagePack or pickle (from protocol 4) write it,
-- quoted as in the name of an index; nil where it is written in another way.
local function awkward_id()
  local user = string.match(payload, '^"%s*:%s*"([^"\\]*)"', at)
    or string.match(payload, '^"%s*:%s*(%-?%d+)', at)
  local head = string.byte(payload, at) or 0
  if not user and head >= 160 and head < 192 then
    user = string.sub(payload, at + 1, at + head - 160)
  elseif not user then
    local _, start, length = string.find(payload, "^\148?[\140\217](.)", at)
    if not start then return nil end
    user = string.sub(payload, start + 1, start + string.byte(length))
  end
  return (string.gsub(user, "[^%w_.~-]", function(char)
    return string.format("%%%02X", string.byte(char))
  end))
end

-- Most ids are plain, and in JSON.
local user = string.match(payload, '^"%s*:%s*"([%w_.~-]+)"', at) or awkward_id()
if not user then return "0 " .. payload end

local me, serves = ARGV[1], tonumber(string.sub(ARGV[2], 1, 16))
local index = string.sub(ARGV[2], 17) .. user .. (ARGV[3] or "")

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
if age >= 0 and age < serves then return found end

-- A clock that was set back, or a replica's that lags, must not make this session look
-- older than the others.
if tonumber(newest[2]) >= seen then seen = newest[2] + 1 end
local added = redis.pcall("ZADD", index, seen, me)
if type(added) == "table" then return {found, added.err} end
return found
