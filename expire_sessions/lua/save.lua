-- Save a session, or mark it seen, and keep its user's sessions at the limit.
--
-- KEYS  1 payload
--       2 with "new" only: made, the call that made the session, for a minute, for a
--         "new" may be repeated
--       last, where the session has a user: the index of that user
-- ARGV  1 mode: "new" (must not exist) | "update" (must exist)
--               | "keep" (must exist; its data is left as it is)
--       2 data of the payload; "" with "keep"
--       3 age in milliseconds; 0 leaves the age as it is ("keep" only)
--       4 limit; 0: none
--       5 what comes before a session key in the name of a payload
--       left out together where there is nothing to say:
--       6 what comes after it
--       7 "1" when a login takes its place with this save
--       8 with "new": the name of this call
--
-- Returns 0 when the mode does not fit what exists: nothing was changed. 1 when it
-- was saved and there is nothing to tell. Else {evicted, gone, live}: session keys
-- that were ended for the limit; that were dropped because their payload was gone;
-- for a login, all that are live now, or nil where there are too many to list.
--
-- All reads come before the first write, and the first write needs no memory where
-- there is one to make: Redis refuses a script for lack of memory at its first
-- write or not at all, so a login that evicts works on a full server.

local LIST_AT_MOST = 100  -- sessions of a user without limit that a login looks at
local LOOK_AT_LEAST = 10  -- the oldest that each new session looks at beyond that
local A_MINUTE = 60000

local mode, data, age, limit = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local head, tail, entering, name = ARGV[5], ARGV[6] or "", ARGV[7] == "1", ARGV[8]
local payload, made, index = KEYS[1], nil, KEYS[2]
if mode == "new" then made, index = KEYS[2], KEYS[3] end
local me = string.sub(payload, #head + 1, #payload - #tail)  -- the session key

local exists = redis.call("EXISTS", payload) == 1
if mode == "new" then
  -- Exists, and not through this call: the key is taken. Made by this call and gone
  -- again: the session was ended while the reply was under way.
  local again = redis.call("GET", made) == name
  if exists ~= again then return 0 end
elseif not exists then
  return 0
end
local life = age > 0 and age or redis.call("PTTL", payload)

local others, gone, excess, complete = {}, {}, 0, false  -- others: live, oldest first
local seen, index_life
if index then
  local time = redis.call("TIME")
  seen = time[1] * 1000000 + time[2]
  -- A clock that was set back, or a replica's that lags, must not make this
  -- session look older than the others.
  local newest = redis.call("ZREVRANGE", index, 0, 1, "WITHSCORES")
  local is_newest = newest[1] == me
  local before = tonumber(newest[is_newest and 4 or 2])  -- of the newest other
  if before and before >= seen then seen = before + 1 end
  index_life = redis.call("PTTL", index)

  local joining = not is_newest and not redis.call("ZSCORE", index, me)
  local known = newest[3] and redis.call("ZCARD", index) or #newest / 2
  local count = known + (joining and 1 or 0)
  local last  -- the rank up to which the others are looked at, oldest first
  if limit > 0 and (entering or count > limit) or entering and count <= LIST_AT_MOST then
    last, complete = -1, entering and count <= LIST_AT_MOST
  elseif limit == 0 and joining then
    last = LOOK_AT_LEAST - 1
  end
  for _, other in ipairs(last and redis.call("ZRANGE", index, 0, last) or {}) do
    if other ~= me then
      local found = redis.call("EXISTS", head .. other .. tail) == 1
      table.insert(found and others or gone, other)
    end
  end
  if limit > 0 then excess = math.max(0, #others + 1 - limit) end
end

if exists then
  if life > 0 then
    redis.call("PEXPIRE", payload, life)
  else
    redis.call("PERSIST", payload)  -- as it is: a first write that needs no memory
  end
end
local evicted, live = {}, {me}
for rank, other in ipairs(others) do
  if rank <= excess then
    redis.call("DEL", head .. other .. tail)
    redis.call("ZREM", index, other)
    table.insert(evicted, other)
  else
    table.insert(live, other)
  end
end
for _, other in ipairs(gone) do redis.call("ZREM", index, other) end

if mode ~= "keep" then redis.call("SET", payload, data, "PX", age) end
if index then
  redis.call("ZADD", index, seen, me)  -- Redis writes 17 digits of a number: exact
  if life < 0 or index_life == -1 then  -- it holds a payload that never expires
    redis.call("PERSIST", index)
  else
    redis.call("PEXPIRE", index, math.max(life, index_life))
  end
end
if mode == "new" then redis.call("SET", made, name, "PX", A_MINUTE) end

if entering or #evicted > 0 or #gone > 0 then
  return {evicted, gone, complete and live}
end
return 1
