-- Save a session or mark it seen. A call with a name also keeps its user's sessions at
-- the limit.
--
-- KEYS  1 payload
--       2 where the call has a name: made, what calls made and ended here, for a minute
--       last, where the session has a user: the index of that user
-- ARGV  1 mode: "new" (must not exist; has a name) | "update" (must exist)
--               | "keep" (must exist; its data is left as it is)
--               | "join" (as "keep", but a member of the index is left as it is, too)
--       2 data of the payload; "" with "keep" and "join"
--       3 age in milliseconds; 0 leaves the age as it is ("keep" and "join" only)
--       4 session key, the member of the index
--       and for a call with a name, which may end sessions:
--       5 the name: where the reply is lost the call is sent again, and is known by it
--       6 limit; 0: none
--       7 what comes before a session key in the name of a payload
--       8 what comes after it
--       9 "1" when a login takes its place with this save
--
-- Returns 0 when the mode does not fit what exists: nothing was changed.
-- Without a name: the number of members that the index has then (1 for an anonymous
-- session). Nothing was ended; the caller compares the number with the limit.
-- With a name: {outcome, evicted, gone, live, more}. Outcome is 1, or -1 when this is a
-- repeated call whose session was made, and was ended since. Evicted are the session keys
-- that were ended for the limit, gone those that were dropped because their payload had
-- expired; a repeated call returns those of its first run, and writes its data. Live are
-- all that are live now, for a login; nil where there are too many to list. More is 1
-- when there are more to end: call again.
--
-- All reads come before the first write, and the first write needs no memory where
-- there is one to make: Redis refuses a script for lack of memory at its first
-- write or not at all, so a login that evicts works on a full server.

local STEP = 1000         -- sessions that one call ends or drops, to block nobody for long
local LIST_AT_MOST = 100  -- sessions of a user that a login looks at below the limit
local LOOK_AT_LEAST = 10  -- the oldest that each new session looks at beyond that
local A_MINUTE = 60000

local mode, data, age, me = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local call, limit, head, tail = ARGV[5], tonumber(ARGV[6]), ARGV[7], ARGV[8]
local entering = ARGV[9] == "1"
local payload, made, index = KEYS[1], call and KEYS[2], KEYS[call and 3 or 2]

local function is_live(other)
  return redis.call("EXISTS", head .. other .. tail) == 1
end

-- Sort the members from one rank to another (0 is the oldest) into live and gone.
local function look(from, to)
  local live, gone = {}, {}
  for _, other in ipairs(redis.call("ZRANGE", index, from, to)) do
    if other ~= me then table.insert(is_live(other) and live or gone, other) end
  end
  return live, gone
end

-- Return which members have expired, and which are to end for the limit: the oldest, up
-- to STEP of each; and whether there are more. `count` includes this session.
local function over_limit(count)
  if limit > STEP then  -- look at the oldest only: all of them would block the server
    local live, gone = look(0, STEP - 1)
    local excess = count - limit - #gone
    local going = {unpack(live, 1, math.min(excess, #live))}
    return gone, going, excess > #live
  end
  -- The newest that are live stay, as many as the limit leaves beside this session.
  -- Whatever is older goes, and need not be looked at.
  local kept, gone = 0, {}
  for _, other in ipairs(redis.call("ZREVRANGE", index, 0, limit + STEP)) do
    if kept == limit - 1 or #gone == STEP then break end
    if other ~= me then
      if is_live(other) then kept = kept + 1 else table.insert(gone, other) end
    end
  end
  local rest = count - 1 - kept - #gone
  if kept < limit - 1 then return gone, {}, rest > 0 end
  local going = {}
  for _, other in ipairs(redis.call("ZRANGE", index, 0, math.min(rest, STEP))) do
    if other ~= me and #going < math.min(rest, STEP) then table.insert(going, other) end
  end
  return gone, going, rest > #going
end

local exists = redis.call("EXISTS", payload) == 1
local note = call and redis.call("GET", made)
if note and string.sub(note, 1, #call) == call then
  local rest = string.sub(note, #call + 1)
  local ended = rest == "" and {{}, {}, 0} or cjson.decode(rest)
  if not exists then return {-1, ended[1], ended[2], false, 0} end
  if mode == "new" or mode == "update" then  -- its data may have changed since
    redis.call("PEXPIRE", payload, age)  -- needs no memory
    redis.call("SET", payload, data, "PX", age)
  end
  local live = false
  if entering and redis.call("ZCARD", index) <= LIST_AT_MOST then
    live = look(0, -1)
    table.insert(live, me)
  end
  return {1, ended[1], ended[2], live, ended[3]}
end
if exists == (mode == "new") then return 0 end

local life = age  -- of the payload from now on; below 0: it never expires
if age == 0 then
  -- Redis says 0 in the last millisecond.
  life = redis.call("PTTL", payload)
  if life == 0 then life = 1 end
end

local seen, index_life
local count, gone, going, more, live = 1, {}, {}, false, false
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
  if mode == "join" and not joining then return 1 end
  count = (newest[3] and redis.call("ZCARD", index) or #newest / 2) + (joining and 1 or 0)
  if call then
    local others
    if limit > 0 and count > limit then
      gone, going, more = over_limit(count)
    elseif entering and count <= LIST_AT_MOST then
      others, gone = look(0, -1)
    elseif joining then
      others, gone = look(0, LOOK_AT_LEAST - 1)
    end
    if entering and count - #gone - #going <= LIST_AT_MOST and not more then
      -- What stays, newest last: all members but those that are named above.
      local leaving = {}
      for _, other in ipairs(gone) do leaving[other] = true end
      for _, other in ipairs(going) do leaving[other] = true end
      live = {}
      for _, other in ipairs(redis.call("ZRANGE", index, 0, -1)) do
        if other ~= me and not leaving[other] then table.insert(live, other) end
      end
      table.insert(live, me)
    end
  end
end

-- The life of the index: the longest of a payload in it.
local function prolong()
  if life < 0 or index_life == -1 then
    redis.call("PERSIST", index)
  else
    redis.call("PEXPIRE", index, math.max(life, index_life))
  end
end

if exists and age > 0 then
  redis.call("PEXPIRE", payload, age)
elseif exists and index then
  prolong()
end
local evicted = {}
for _, other in ipairs(going) do
  local deleted = redis.call("DEL", head .. other .. tail)
  table.insert(deleted == 1 and evicted or gone, other)
  redis.call("ZREM", index, other)
end
for _, other in ipairs(gone) do redis.call("ZREM", index, other) end

if mode == "new" or mode == "update" then redis.call("SET", payload, data, "PX", age) end
if index then
  redis.call("ZADD", index, seen, me)  -- Redis writes 17 digits of a number: exact
  prolong()
end
if not call then return count end
more = more and 1 or 0
local has_ended = #evicted + #gone > 0
if mode == "new" or has_ended then
  local ended = has_ended and cjson.encode({evicted, gone, more}) or ""
  redis.call("SET", made, call .. ended, "PX", A_MINUTE)
end
return {1, evicted, gone, live, more}
