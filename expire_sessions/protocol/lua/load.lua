-- Read a session and mark it seen, where it is in the index of its user.
--
-- KEYS  1 payload
--       2 life
-- ARGV  1 session key, the member of the index
--       2 16 digits: for how many microseconds a mark serves, a younger one is left as it
--         is; and behind them what comes before a user's id in the name of an index
--       3 what comes after it, or ""
--       4 the version of the ages of the settings; "" where they have none
--
-- Returns nil when there is no such session. Else the number of members that the index
-- has, a space, and the payload, in one text: it is read four times as fast as a list.
-- The number is 0 where the index does not know this session, where the payload does not
-- show whose it is, or where its ages are not those of the settings. Where it has ages, a
-- colon and what life.lua tells of it stand in place of the space. Where Redis takes no writes,
-- {that text, what it said}.
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
local index = string.sub(ARGV[2], 17) .. user .. ARGV[3]

-- What stands there may be no index: then it does not know this session.
local newest = redis.pcall("ZREVRANGE", index, 0, 1, "WITHSCORES")
local score = newest[2]
if newest[1] ~= me then
  score = newest[3] == me and newest[4] or newest[1] and redis.call("ZSCORE", index, me)
  if not score then return "0 " .. payload end
end
local found, seen = newest[3] and redis.call("ZCARD", index) or 1, clock()
local life, version = life_at(KEYS[2], KEYS[1], seen), ARGV[4]
if version ~= "" and not (life and life.version == version) then return "0 " .. payload end

local age, refused = seen - score, nil
if life then
  if left_of(life, seen) <= 0 then  -- the clock of a server that was failed over to
    redis.pcall("DEL", KEYS[1])
    redis.pcall("ZREM", index, me)
    return false
  end
  found = found .. ":" .. told(life, seen)
  if life.idle > 0 or life.is_foreign then
    refused = redis.pcall("PEXPIRE", KEYS[1], ttl_of(life, seen))
    -- So that it is known at its end whether it was idle: to a tenth of that age.
    local is_old = seen - life.seen > life.idle * 100
    if is_old or life.is_foreign then write_life(KEYS[2], life, seen) end
  end
end
found = life and found .. payload or found .. " " .. payload
if type(refused) == "table" then return {found, refused.err} end
if age >= 0 and age < serves then return found end

-- A clock that was set back, or a replica's that lags, must not make this session look
-- older than the others.
local stamp = seen
if tonumber(newest[2]) >= seen then stamp = newest[2] + 1 end
local added = redis.pcall("ZADD", index, stamp, me)
if type(added) == "table" then return {found, added.err} end
return found
