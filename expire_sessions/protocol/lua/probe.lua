-- Find out which commands are refused of those that sessions need. Nothing changes:
-- each is in a form that does nothing with a key that does not exist. A replica, a
-- full server and one whose user lacks a right refuse it all the same.
--
-- KEYS  1 payload, 2 index, 3 made, 4 moved, 5 life, 6 mark: none of them exists. All are
--       named here because a user may be allowed some keys and not others.
--
-- Returns {command, what the server says} for each that is refused.

local payload, index = KEYS[1], KEYS[2]

local refused = {}
for _, command in ipairs({
  {"TIME"},
  {"GET", payload},
  {"EXISTS", payload},
  {"PTTL", payload},
  {"ZCARD", index},
  {"ZRANGE", index, 0, 0},
  {"ZREVRANGE", index, 0, 0},
  {"ZSCORE", index, ""},
  {"SET", payload, "", "XX", "PX", 1},
  {"PEXPIRE", payload, 1},
  {"PERSIST", payload},
  {"DEL", payload},
  {"ZADD", index, "XX", 0, ""},
  {"ZREM", index, ""},
}) do
  local reply = redis.pcall(unpack(command))
  if type(reply) == "table" and reply.err then
    table.insert(refused, {command[1], reply.err})
  end
end
return refused
