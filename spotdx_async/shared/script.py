"""The one script that the server runs: a GCRA in microseconds of the server's own clock, atomic by nature.

It hands out times, not leave: slots up to a horizon ahead, so that a process takes a block in one round trip, and who
pauses or changes the rate is obeyed by all as soon as the horizon has passed.
"""

__all__ = ["FIELDS", "HORIZON_S", "SCRIPT"]

HORIZON_S = 0.5
"""How far ahead slots are handed out."""

FIELDS = ("rate", "opens_in_us", "tat", "slots")
"""What the script answers: the rate in force, when more can be had, a mark for giving back, and the slots from now."""

SCRIPT = """
local key, members, queue, act, me = KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[10]
local configured, burst, horizon = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local growth, floor, ceiling = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local number, mark = tonumber(ARGV[8]), ARGV[9]
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local kept = redis.call('HMGET', key, 'tat', 'rate', 'configured', 'paused', 'cut', 'grown')
local tat, rate, was = tonumber(kept[1]), tonumber(kept[2]), tonumber(kept[3])
local paused, cut, grown = tonumber(kept[4] or 0), tonumber(kept[5] or 0), tonumber(kept[6] or now)

-- A server that knows nothing may have forgotten: slots that it gave before run out within the horizon.
if not tat then tat = now + horizon end
-- A process that joins with another setting than the last one changes it for all; a learned rate stays.
if not rate or (act == 'join' and growth == 0 and was ~= configured) then rate = configured end

local interval = 1000000 / rate
-- Its clock was set back: what it gave before then can lie no further ahead than this.
tat = math.min(tat, now + horizon + burst * interval)

local function save()
  redis.call('HSET', key, 'tat', string.format('%.0f', tat), 'rate', string.format('%.9g', rate),
    'configured', ARGV[2], 'paused', string.format('%.0f', paused), 'cut', string.format('%.0f', cut),
    'grown', string.format('%.0f', grown))
  for _, name in ipairs(KEYS) do redis.call('PEXPIRE', name, 86400000) end
end

local slots, opens = {}, 0
if act == 'take' then
  redis.call('ZADD', members, now, me)
  redis.call('ZREMRANGEBYSCORE', members, '-inf', now - 1500000)
  redis.call('ZREMRANGEBYSCORE', queue, '-inf', now - 5000000)
  -- All blocks together lie within half the horizon, so that each process has its turn without being refused.
  local fair = math.max(1, math.floor(rate * horizon / 2000000 / redis.call('ZCARD', members)))
  local first = math.max(now, paused, tat - (burst - 1) * interval)
  local free = first > now + horizon and 0 or math.floor((now + horizon - first) / interval) + 1
  -- Where slots are short, those who were refused before come first.
  local before = redis.call('ZRANK', queue, me) or redis.call('ZCARD', queue)
  number = math.min(number, fair, free - before)
  if number < 1 then
    redis.call('ZADD', queue, 'NX', now, me)
    opens = first + before * interval - now - horizon
  else
    redis.call('ZREM', queue, me)
  end
  local is_short = number < 1 and now >= paused
  for _ = 1, number do
    local slot = math.max(now, paused, tat - (burst - 1) * interval)
    tat = math.max(tat, slot) + interval
    slots[#slots + 1] = string.format('%.0f', slot - now)
  end
  if growth > 0 then
    -- It grows only while it holds somebody back, and until the first cut as fast as it may.
    if is_short or tat > now + interval then
      local pace = cut > 0 and growth or 0.46
      rate = math.min(ceiling, rate * math.exp(pace * math.min(now - grown, 1000000) / 1000000))
    end
    grown = now
  end
elseif act == 'back' then
  -- Only the last slots can be given back: behind others they would leave a hole that nobody finds.
  if kept[1] == mark then tat = tat - number * interval end
elseif act == 'pause' then
  paused = math.max(paused, now + number)
  grown = paused
elseif act == 'cut' then
  if growth > 0 and now - number > cut then
    rate, cut = math.max(floor, rate * 0.9), now
  end
elseif act == 'rate' then
  rate = number
end
save()
return { string.format('%.9g', rate), string.format('%.0f', opens), string.format('%.0f', tat), slots }
"""
