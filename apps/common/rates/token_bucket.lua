-- Takes tokens from several buckets, or from none of them.
--
-- KEYS  the buckets, all of one hash tag
-- ARGV  for each bucket: tokens that come back a minute, tokens it holds when full, tokens to take;
--       then 1 to take them or 0 to only ask whether they could be;
--       then, in tests, the time in microseconds instead of the server's
--
-- Returns: allowed (1 or 0), the tightest bucket's place (from 1), the tokens it has left, the second in which it is
-- full again, and after how many seconds a refused request would be let through.
--
-- A token is 60,000,000 units, so that a bucket of n tokens a minute gains n units a microsecond: every figure is a
-- whole number, and exact in Lua's doubles up to 150 million tokens. A bucket is kept as what it lacks of being full,
-- when that was so, and its figures; a full one is not kept. Taking more than a bucket holds needs a full one, and
-- leaves it lacking more than it holds: the average stays what it should be.

local TOKEN = 60000000
local count = #KEYS
local charge = ARGV[3 * count + 1] == '1'
local now = tonumber(ARGV[3 * count + 2])
if not now then
  local clock = redis.call('TIME')
  now = clock[1] * 1000000 + clock[2]
end

local refill, size, cost, missing, stepped_back = {}, {}, {}, {}, {}
local worst, longest = 0, 0
for i = 1, count do
  refill[i] = tonumber(ARGV[3 * i - 2])
  size[i] = tonumber(ARGV[3 * i - 1]) * TOKEN
  cost[i] = tonumber(ARGV[3 * i]) * TOKEN
  missing[i] = 0
  local kept = redis.call('GET', KEYS[i])
  if kept then
    local lacked, at, old_refill, old_size = string.match(kept, '^(%d+) (%d+) (%d+) (%d+)$')
    -- The server's clock may have been set back: what was lacking then is lacking now, and time goes on from here.
    stepped_back[i] = now < tonumber(at)
    missing[i] = math.max(0, lacked - math.max(0, now - at) * old_refill)
    if tonumber(old_refill) ~= refill[i] or tonumber(old_size) ~= size[i] then
      missing[i] = math.min(missing[i], size[i])
    end
  end
  local wait = (missing[i] + math.min(cost[i], size[i]) - size[i]) / refill[i]
  if cost[i] > 0 and wait > longest then
    worst, longest = i, wait
  end
end

local allowed = worst == 0
local smallest = math.huge
for i = 1, count do
  local charged = allowed and charge and cost[i] > 0
  if charged then
    missing[i] = missing[i] + cost[i]
  end
  if charged or stepped_back[i] then
    local full_at = string.format('%.0f', math.ceil((now + missing[i] / refill[i]) / 1000))
    local kept = string.format('%.0f %.0f %.0f %.0f', missing[i], now, refill[i], size[i])
    redis.call('SET', KEYS[i], kept, 'PXAT', full_at)
  end
  local left = (size[i] - missing[i]) / size[i]
  if allowed and left < smallest then
    worst, smallest = i, left
  end
end

return {
  allowed and 1 or 0,
  worst,
  math.max(0, math.floor((size[worst] - missing[worst]) / TOKEN)),
  math.ceil((now + missing[worst] / refill[worst]) / 1000000),
  math.ceil(longest / 1000000),
}
