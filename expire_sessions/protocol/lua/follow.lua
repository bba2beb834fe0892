-- Put before the scripts that follow a session to where rotations have moved it.
--
-- A rotation leaves a note at "moved:<id of the old session>" for a minute. The note is
-- JSON with the names of what the session has now: {"key", "id", "payload", "moved",
-- "life", "index"}. At "moved:<id of the new session>" it leaves one that says where that
-- came from: {"from": ids, the oldest first}. A session that was moved on has both in one.

-- Return the first payload on the way that exists, as such a note, and the ids of all the
-- sessions passed after the first. The note is nil where the session has ended.
local function follow(start)
  local at, ids = start, {}
  while redis.call("EXISTS", at.payload) == 0 do
    local note = redis.call("GET", at.moved)
    local following = note and cjson.decode(note)
    if not following or not following.id then return nil, ids end
    at = following
    table.insert(ids, at.id)
  end
  return at, ids
end

