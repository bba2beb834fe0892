-- Save a session or mark it seen. A call with a name also keeps its user's sessions at
-- the limit.
--
-- KEYS  1 payload
--       2 where the call has a name: made, what calls made and ended here, for a minute
--       next, where the session has a user: the index of that user, and its life; that
--       is absent where the age is the least of all that it has
--       last, where the login has a mark of its browser: what that signed in to just now
-- ARGV  1 mode: "new" (must not exist; has a name) | "update" (must exist)
--               | "keep" (must exist; its data is left as it is)
--               | "see" (as "keep", but a member of the index is left as it is)
--               | "join" (as "see", but nothing of a member changes that has ages)
--       2 data of the payload; "" with "keep", "see" and "join"
--       3 its own age in milliseconds; 0 leaves the age as it is ("keep", "see" and "join");
--         behind it, where they are to be set, its other ages: " <idle> <absolute>
--         <notice> <usual own age> <1: begin anew> <version>", see life.lua
--       4 session key, the member of the index
--       and for a call with a name, which may end sessions:
--       5 the name: where the reply is lost the call is sent again, and is known by it
--       6 limit; 0: none
--       7 what comes before a session key in the name of a payload
--       8 what comes after it
--       9 "1" when a login takes its place with this save; "refuse" when it takes only one
--         that is free
--       10 and 11, as 7 and 8, in the name of a life
--       12 how long the browser of an evicted session may learn why, in milliseconds
--       13 why, as JSON that lacks "{" and the time
--       14 how long the mark of the browser is kept, in milliseconds
--
-- Returns 0 when the mode does not fit what exists, and -2 when there is no free place:
-- nothing was changed. -3: members without payload were dropped, there may be more: call
-- again.
-- Without a name: the number of members that the index has then (1 for an anonymous
-- session). Where its age is left as it is, or other ages are set, what life.lua tells of
-- a session that has ages stands behind it, as struct packs them.
-- Nothing was ended; the caller compares the number with the limit.
-- With a name: {outcome, evicted, gone, live, more, told, replaced}. Outcome is 1, or -1
-- when this is a repeated call whose session was made, and was ended since. Evicted are
-- the session keys that were ended for the limit, gone those that were dropped because
-- their payload had expired; a repeated call returns those of its first run, and writes
-- its data. Live are all that are live now, for a login; nil where there are too many to
-- list. More is 1 when there are more to end: call again. Told is what life.lua tells.
-- Replaced is the session key that this very browser had signed in to just before.
--
-- All reads come before the first write, and the first write needs no memory where
-- there is one to make: Redis refuses a script for lack of memory at its first
-- write or not at all, so a login that evicts works on a full server.

local STEP = 1000         -- sessions that one call ends or drops, to block nobody for long
local LIST_AT_MOST = 100  -- sessions of a user that a login looks at below the limit
local LOOK_AT_LEAST = 10  -- the oldest that each new session looks at beyond that
local A_MINUTE = 60000

local mode, data, me = ARGV[1], ARGV[2], ARGV[4]
local age, ages = tonumber(ARGV[3]), nil
if not age then
  age, ages = string.match(ARGV[3], "^(%d+) (.+)$")
  age = tonumber(age)
end
local call, limit, head, tail = ARGV[5], tonumber(ARGV[6]), ARGV[7], ARGV[8]
local entering = ARGV[9] == "1" or ARGV[9] == "refuse"
local at = call and 3 or 2
local payload, made, index, life_name = KEYS[1], call and KEYS[2], KEYS[at], KEYS[at + 1]
local mark = KEYS[at + 2]
local replaced  -- the session that this browser signed in to just before, if it is live

local function is_live(other)
  return redis.call("EXISTS", head .. other .. tail) == 1
end

local function is_another(other)
  return other ~= me and other ~= replaced
end

-- Sort the members from one rank to another (0 is the oldest) into live and gone.
local function look(from, to)
  local live, gone = {}, {}
  for _, other in ipairs(redis.call("ZRANGE", index, from, to)) do
    if is_another(other) then table.insert(is_live(other) and live or gone, other) end
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
  for _, other in ipairs(redis.call("ZREVRANGE", index, 0, limit + STEP + 1)) do
    if kept == limit - 1 or #gone == STEP then break end
    if is_another(other) then
      if is_live(other) then kept = kept + 1 else table.insert(gone, other) end
    end
  end
  local rest = count - 1 - kept - #gone
  if kept < limit - 1 then return gone, {}, rest > 0 end
  local going = {}
  for _, other in ipairs(redis.call("ZRANGE", index, 0, math.min(rest, STEP) + 1)) do
    if is_another(other) and #going < math.min(rest, STEP) then
      table.insert(going, other)
    end
  end
  return gone, going, rest > #going
end

local function find_replaced()
  local other = mark and redis.call("GET", mark)
  if not other or other == me or not is_live(other) then return nil end
  return redis.call("ZSCORE", index, other) and other or nil
end

-- Return the life that the ages make of the one it had, if it had one.
local function life_of_ages(had, now, is_member)
  local idle, absolute, notice, usual, anew, version =
    string.match(ages, "^(%d+) (%d+) (%d+) (%d+) (%d+) (%S+)$")
  local is_login = entering or anew == "1"
  if had and had.version == version and not is_login then return had end
  local life = {
    login = had and not is_login and had.login or now, own = had and had.own,
    idle = tonumber(idle), absolute = tonumber(absolute), notice = tonumber(notice),
    version = version,
  }
  if age == 0 and not had then
    local left = redis.call("PTTL", payload)
    -- A short one of a member is what an idle age has left: its life was lost.
    if left < 0 or is_member and left <= life.idle then left = tonumber(usual) end
    life.own = now + math.max(left, 1) * 1000
  end
  return life
end

-- Return the life of this session from now on; nil where it has no ages.
local function life_from(had, now, is_member)
  local life = ages and life_of_ages(had, now, is_member) or had
  if life and age > 0 then
    life.own, life.was = now + age * 1000, life.own
  end
  return life
end

-- Tell whether a life has to be written down. Where the absolute age ends the session
-- before its own does, its own need not be known.
local function is_news(life, had)
  if life ~= had or life.is_foreign then return true end
  if not life.was then return false end
  local absolute = life.absolute > 0 and life.login + life.absolute * 1000 or nil
  return not absolute or math.min(life.was, life.own) < absolute
end

local exists = redis.call("EXISTS", payload) == 1
local note = call and redis.call("GET", made)
if note and string.sub(note, 1, #call) == call then
  local rest = string.sub(note, #call + 1)
  local ended = rest == "" and {{}, {}, 0, ""} or cjson.decode(rest)
  if not exists then return {-1, ended[1], ended[2], false, 0, "", ended[4]} end
  local now = clock()
  local life = index and life_at(life_name)
  if mode == "new" or mode == "update" then  -- its data may have changed since
    local ttl = life and math.max(math.min(age, ttl_of(life, now)), 1) or age
    redis.call("PEXPIRE", payload, ttl)  -- needs no memory
    redis.call("SET", payload, data, "PX", ttl)
  end
  local live = false
  if entering and redis.call("ZCARD", index) <= LIST_AT_MOST then
    live = look(0, -1)
    table.insert(live, me)
  end
  return {1, ended[1], ended[2], live, ended[3], life and told(life, now) or "", ended[4]}
end
if exists == (mode == "new") then return 0 end

local stay = age  -- how long the payload lives from now on; below 0: for ever
if age == 0 then
  -- Redis says 0 in the last millisecond.
  stay = redis.call("PTTL", payload)
  if stay == 0 then stay = 1 end
end
local ttl = stay  -- how long it lives where it is not seen again

local now, seen, index_life, had, life, joining
local count, gone, going, more, live = 1, {}, {}, false, false
if index then
  now = clock()
  seen = now
  -- A clock that was set back, or a replica's that lags, must not make this
  -- session look older than the others.
  local newest = redis.call("ZREVRANGE", index, 0, 1, "WITHSCORES")
  local is_newest = newest[1] == me
  local before = tonumber(newest[is_newest and 4 or 2])  -- of the newest other
  if before and before >= seen then seen = before + 1 end
  index_life = redis.call("PTTL", index)
  joining = not is_newest and not redis.call("ZSCORE", index, me)

  had = life_name and life_at(life_name, age == 0 and payload, now)
  if mode == "join" and not joining and (had or not ages) then return 1 end
  life = life_from(had, now, not joining)
  if mode == "see" and not joining and not life then return 1 end
  if life then
    stay, ttl = left_of(life, now), ttl_of(life, now)
    if stay <= 0 then  -- the absolute age was lowered
      redis.call("DEL", payload)
      redis.call("ZREM", index, me)
      return 0
    end
  end
  count = (newest[3] and redis.call("ZCARD", index) or #newest / 2) + (joining and 1 or 0)
  if call then
    local others
    replaced = entering and find_replaced()
    if replaced then count = count - 1 end
    if limit > 0 and count > limit and ARGV[9] == "refuse" then
      others, gone = look(0, STEP - 1)
      if count - #gone > limit then
        for _, other in ipairs(gone) do redis.call("ZREM", index, other) end
        return #gone > 0 and -3 or -2
      end
    elseif limit > 0 and count > limit then
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
        if is_another(other) and not leaving[other] then table.insert(live, other) end
      end
      table.insert(live, me)
    end
  end
end

-- The life of the index: the longest of a payload in it.
local function prolong()
  if stay < 0 or index_life == -1 then
    redis.call("PERSIST", index)
  else
    redis.call("PEXPIRE", index, math.max(stay, index_life))
  end
end

-- End another session of the user. Its browser may learn why.
local function end_other(other, why)
  local deleted = redis.call("DEL", head .. other .. tail)
  redis.call("ZREM", index, other)
  if deleted == 0 then return false end
  local name, notice = ARGV[10] .. other .. ARGV[11], tonumber(ARGV[12])
  redis.call("DEL", name)
  if notice > 0 then leave_notice(name, why, notice) end
  return true
end

if exists and (age > 0 or life) then
  redis.call("PEXPIRE", payload, ttl)
elseif exists and index then
  prolong()
end
local evicted = {}
for _, other in ipairs(going) do
  table.insert(end_other(other, ARGV[13]) and evicted or gone, other)
end
for _, other in ipairs(gone) do redis.call("ZREM", index, other) end
if replaced then end_other(replaced, '"reason":"replaced"}') end

if mode == "new" or mode == "update" then redis.call("SET", payload, data, "PX", ttl) end
if index then
  if joining or mode ~= "join" and mode ~= "see" then
    redis.call("ZADD", index, seen, me)  -- Redis writes 17 digits of a number: exact
  end
  prolong()
end
if life and is_news(life, had) then write_life(life_name, life, now) end
if not call and life and (ages or age == 0) then
  return struct.pack(">d", count) .. told(life, now)
elseif not call then
  return count
end
more = more and 1 or 0
local has_ended = #evicted + #gone > 0 or replaced
if mode == "new" or has_ended then
  local ended = has_ended and cjson.encode({evicted, gone, more, replaced or ""}) or ""
  redis.call("SET", made, call .. ended, "PX", A_MINUTE)
end
if mark and entering then redis.call("SET", mark, me, "PX", ARGV[14]) end
return {1, evicted, gone, live, more, life and told(life, now) or "", replaced or ""}
