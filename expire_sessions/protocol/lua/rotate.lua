-- Move a session to a new key. It stays the same session: nobody is evicted, and
-- in the index the new member takes the old one's score.
--
-- KEYS  1 old payload
--       2 new payload
--       3 moved: where the old key was moved to, for a minute
--       4 moved of the new key; absent, with the rest, for an anonymous session
--       5 index of the user
--       6 old life
--       7 new life
-- ARGV  1 old session key
--       2 new session key
--       3 data of the new payload
--       4 age in milliseconds: its own, from now on
--       5 the note that follow.lua reads; absent, with the next, for an anonymous one
--       6 id of the old session
--
-- Returns {session key}: the new one. When another rotation was faster, {session key,
-- payload} of what that made. nil when the session has ended.
-- An anonymous session never follows another rotation: two people may be signing in.

local A_MINUTE = 60000

local old, new, moved, origin, index = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local was, becomes, data, age, note = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]

if index and redis.call("EXISTS", old) == 0 then
  local at = follow({payload = old, moved = moved})
  if not at then return false end
  if at.key == becomes then return {becomes} end  -- this very call again
  return {at.key, redis.call("GET", at.payload)}
end
local score, index_life, now
local life = index and life_at(KEYS[6])
local left = age
if life then
  now = clock()
  life.own = now + age * 1000
  left = left_of(life, now)
  if left <= 0 then return false end
  age = ttl_of(life, now)
end
if index then
  score = redis.call("ZSCORE", index, was)
  index_life = redis.call("PTTL", index)
  -- Without one it was written by Django's own backend, and not seen since.
  score = score or string.format("%.0f", clock())
end

redis.call("DEL", old)
if index then redis.call("ZREM", index, was) end
if life then redis.call("DEL", KEYS[6]) end
redis.call("SET", new, data, "PX", age)
if life then write_life(KEYS[7], life, now) end
if index then
  redis.call("ZADD", index, score, becomes)
  if index_life == -1 then  -- it holds a payload that never expires
    redis.call("PERSIST", index)
  else
    redis.call("PEXPIRE", index, math.max(left, index_life))
  end
  local before = redis.call("GET", moved)
  local from = before and cjson.decode(before).from or {}
  note = cjson.decode(note)
  if #from > 0 then note.from = from end
  redis.call("SET", moved, cjson.encode(note), "PX", A_MINUTE)
  table.insert(from, ARGV[6])
  redis.call("SET", origin, cjson.encode({from = from}), "PX", A_MINUTE)
end
return {becomes}
