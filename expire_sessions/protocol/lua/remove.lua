-- End a session, wherever rotations have moved it: payload and member together.
--
-- KEYS  1 payload
--       2 moved: where a rotation moved the session
--       3 ended: the call that ended it, for a minute
--       4 life
--       5 index of the user; absent where the owner is anonymous or not known
-- ARGV  1 session key, the member of the index
--       2 the name of this call: where its reply is lost it is sent again
--       3 how long its browser may learn why, in milliseconds; 0: it does not
--       4 why, as JSON that lacks "{" and the time
--
-- Returns {payloads deleted, members removed, ids, index}: the first two are 0 or 1; ids
-- are those that rotations gave the session, oldest first; index is the name of the index
-- it was found in. A repeated call returns what its first run did.
--
-- A script and not MULTI, which a full server refuses: the first write needs no memory.

local A_MINUTE = 60000

local me, call, notice, why = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local ended, index = KEYS[3], KEYS[5]

local note = redis.call("GET", ended)
if note then
  local done = cjson.decode(note)
  if done.call == call then
    return {done.deleted, done.removed, done.ids, done.index or false}
  end
end

-- A key of another type under the index's name is an error: before anything is written.
if index then redis.call("ZSCORE", index, me) end
local at, ids = follow({
  key = me, payload = KEYS[1], moved = KEYS[2], life = KEYS[4], index = index,
})
local deleted, removed = 0, 0
if at then
  index = at.index
  deleted = redis.call("DEL", at.payload)
  if index then removed = redis.call("ZREM", index, at.key) end
  redis.call("DEL", at.life)
  if notice > 0 and index then leave_notice(at.life, why, notice) end
elseif index then
  removed = redis.call("ZREM", index, me)  -- its payload has expired
end
if deleted + removed > 0 then
  local done = {call = call, deleted = deleted, removed = removed, ids = ids, index = index}
  redis.call("SET", ended, cjson.encode(done), "PX", A_MINUTE)
end
return {deleted, removed, ids, index or false}
