-- Put before the scripts that know how long a session may live.
--
-- At "life:<session key>" stands, for a session with ages, when it was made and seen, and
-- what ends it: login, idle, absolute, notice, own and seen, as struct packs them, and
-- behind them the version. Login, own (when its own age has passed) and seen are in
-- microseconds of the server's clock; idle, absolute (0: none) and notice (for how long it
-- is kept after the end) in milliseconds. Version names the settings that they were made
-- of. Once a session was ended there stands why, in JSON.

local LIFE = ">dddddd"
local A_SECOND = 1000000  -- microseconds

local function clock()
  local time = redis.call("TIME")
  return time[1] * 1000000 + time[2]
end

-- Return the life of a session; nil where it has no ages, or was ended. Payload is given
-- where somebody else may have written that: then it lives for longer than was said here.
local function life_at(name, payload, now)
  local text = redis.call("GET", name)
  if not text or string.byte(text) == 123 then return nil end  -- "{"
  local login, idle, absolute, notice, own, seen, rest = struct.unpack(LIFE, text)
  local left = payload and redis.call("PTTL", payload) or 0
  local is_foreign = left > idle and now + left * 1000 > own + A_SECOND
  return {
    login = login, idle = idle, absolute = absolute, notice = notice,
    own = is_foreign and now + left * 1000 or own, seen = seen,
    version = string.sub(text, rest), is_foreign = is_foreign,
  }
end

-- Return the milliseconds that are left of the absolute age; nil where there is none.
local function absolute_left(life, now)
  if life.absolute == 0 then return nil end
  return math.ceil((life.login + life.absolute * 1000 - now) / 1000)
end

-- Return the milliseconds until the session ends, however busy it is. 0 or less: it has.
local function left_of(life, now)
  local left = math.ceil((life.own - now) / 1000)
  return math.min(left, absolute_left(life, now) or left)
end

-- Return the milliseconds until the session ends where it is not seen again.
local function ttl_of(life, now)
  local left = left_of(life, now)
  return life.idle > 0 and math.min(life.idle, left) or left
end

-- Tell those who load it its idle age, and what is left of its absolute age (-1: it has
-- none).
local function told(life, now)
  return struct.pack(">dd", life.idle, absolute_left(life, now) or -1)
end

local function write_life(name, life, now)
  local text = struct.pack(
    LIFE, life.login, life.idle, life.absolute, life.notice, life.own, now
  )
  -- A second more: a payload must not outlive it.
  local age = left_of(life, now) + math.max(life.notice, 1000)
  return redis.pcall("SET", name, text .. life.version, "PX", age)
end

