-- End a session: payload and member together, in one step.
--
-- KEYS  1 payload
--       2 index of the user; absent where the owner is anonymous or not known
-- ARGV  1 session key, the member of the index
--
-- Returns {payloads deleted, members removed}, each 0 or 1.
--
-- A script and not MULTI, which a full server refuses: neither command needs memory.

local deleted = redis.call("DEL", KEYS[1])
local removed = KEYS[2] and redis.call("ZREM", KEYS[2], ARGV[1]) or 0
return {deleted, removed}
