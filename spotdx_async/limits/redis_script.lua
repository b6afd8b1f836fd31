-- The script that the server runs: a GCRA in microseconds of the server's own clock; Redis runs scripts atomically.
--
-- The arithmetic is that of Gcra, and the adaptive law that of LearnedPace, with the same names; the vectors in
-- tests/limits hold them together. The script once grew by 2 % a second at any rate. On the servers of
-- benchmarks/bench_adaptive.py that meant 3.7 % 429s at 5 calls a second instead of 0.5 %, 61 s instead of 15 to find
-- a limit four times as high, and over 80 s instead of 2 to find one half as high.
--
-- It hands out times, not leave: slots up to a horizon ahead, so that a process takes a block in one round trip, and who
-- pauses or changes the rate is obeyed by all as soon as the horizon has passed.
--
-- Time is divided into cells, one interval each. A slot takes a cell, and lies at most burst - 1 intervals before it:
-- that alone bounds what any window holds to rate * W + burst. Where a process far away takes cells that begin later
-- than the first free one, since it could not use that in time, the cells between stay free as a gap for the others.
--
-- Between processes, each has a turn of its own, which each slot moves on by what its fair share takes. Up to its share a
-- process reserves ahead, far enough for its own round trip; beyond its share it gets what is due at once and nobody has
-- reserved. So those who are near cannot take what those far away are about to ask for, and nothing is left unused.

local key, members = KEYS[1], KEYS[2]
local act, me = ARGV[1], ARGV[2]
local number, mark, ahead = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local configured, burst, horizon = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local is_learned, floor, ceiling = ARGV[9] == '1', tonumber(ARGV[10]), tonumber(ARGV[11])
local waiting = tonumber(ARGV[12])
-- The longest round trip that is waited out; how far ahead one may take what is beyond its share; how much of the share
-- that it did not use a process may catch up with; how long it counts after its last slot; in which steps those far
-- away reserve, so that others need not wait for longer.
local most_ahead, surplus, credit, patience, step = 2000000, 100000, 100000, 1500000, 50000
ahead = math.min(ahead, most_ahead)
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local kept = redis.call('HMGET', key, 'tat', 'rate', 'configured', 'paused', 'cut', 'grown', 'seen', 'longest',
  'lifted', 'gaps', 'learned')
local tat, rate, was = tonumber(kept[1]), tonumber(kept[2]), tonumber(kept[3])
local paused_until, cut_at, held_since = tonumber(kept[4] or 0), tonumber(kept[5] or 0), tonumber(kept[6] or now)
local seen, longest, lifted = tonumber(kept[7] or now), tonumber(kept[8]), tonumber(kept[9] or 0)
local gaps = {}
for from, to in string.gmatch(kept[10] or '', '(%d+):(%d+)') do gaps[#gaps + 1] = { tonumber(from), tonumber(to) } end

-- A server that knows nothing may have forgotten: slots that it gave before run out within the horizon.
if not tat then tat = now + horizon end
-- A process that joins with another setting than the last one changes it for all; a learned rate stays.
if not rate or (act == 'join' and not is_learned and was ~= configured) then rate = configured end

-- What the law remembers, 0 for nothing. A version that had another one has kept the time of its last cut alone.
local law = {}
for number in string.gmatch(kept[11] or '', '%S+') do law[#law + 1] = tonumber(number) end
local known, shorts, pause_s, sending_s, growing = law[1] or 0, law[2] or 0, law[3] or 0, law[4] or 0, law[5] or 0
local demand_s, hold_until, seen_at = law[6] or 0, law[7] or 0, law[8] or 0
if #law == 0 and cut_at > 0 then known = rate / CUT end

local interval = 1000000 / rate
local slack = (burst - 1) * interval
if now < seen then
  -- Its clock was set back, or it is another server: all that is known moves with it.
  local by = seen - now
  tat, held_since, gaps = tat - by, held_since - by, {}
  paused_until, cut_at = math.max(0, paused_until - by), cut_at > 0 and math.max(1, cut_at - by) or 0
  hold_until, seen_at = hold_until - by, seen_at - by
  if by > 1000000 then redis.call('DEL', members) end
end
-- Whatever its clock did: what it gave before can lie no further ahead than this, nor a pause than the longest asked
-- for. A version that did not note that yet may have asked for up to an hour.
tat = math.min(tat, now + most_ahead + math.max(horizon, most_ahead + surplus) + burst * interval)
if paused_until > now + (longest or 3600000000) then paused_until = 0 end
held_since = math.min(held_since, math.max(now, paused_until))
cut_at, seen_at = math.min(cut_at, now), math.min(seen_at, now)
hold_until = math.min(hold_until, math.max(now, paused_until) + LONGEST_PAUSE_S * 1000000)

local function save()
  local texts = {}
  for _, gap in ipairs(gaps) do texts[#texts + 1] = string.format('%.0f:%.0f', gap[1], gap[2]) end
  redis.call('HSET', key, 'tat', string.format('%.0f', tat), 'rate', string.format('%.17g', rate),
    'configured', ARGV[6], 'paused', string.format('%.0f', paused_until), 'cut', string.format('%.0f', cut_at),
    'grown', string.format('%.0f', held_since), 'seen', string.format('%.0f', now), 'lifted', lifted,
    'gaps', table.concat(texts, ','))
  if longest then redis.call('HSET', key, 'longest', string.format('%.0f', longest)) end
  if is_learned then
    redis.call('HSET', key, 'learned', string.format('%.17g %.0f %.9g %.9g %.9g %.9g %.0f %.0f', known, shorts, pause_s,
      sending_s, growing, demand_s, hold_until, seen_at))
  end
  for _, name in ipairs(KEYS) do redis.call('PEXPIRE', name, 86400000) end
end

-- As LearnedPace does it.

local function set_rate(to) rate = math.min(ceiling, math.max(floor, to)) end

local function growth()
  if known == 0 then return FASTEST end
  local share = rate / known
  local slow = math.min(GROWTH, 0.1 * rate / CALLS_FOR_A_TENTH)
  if share < 1 and shorts >= SHORTS_IN_A_ROW then return math.min(GROWTH, 2 * slow) end
  if NEAR <= share and share < 1 and pause_s > 0 then
    return math.min(slow, (1 - NEAR) / (PAUSES_TO_PASS * math.min(pause_s, LONGEST_PAUSE_S)))
  end
  if share < BEYOND then return slow end
  local base = math.max(slow, math.min(GROWTH, rate * GROWTH_A_CALL_BEYOND))
  return math.min(FASTEST_BEYOND, base * (1 + EAGERNESS * (share - BEYOND)))
end

local function grow(held_s)
  local idle_s = (now - seen_at) / 1000000 - held_s
  seen_at = now
  sending_s = sending_s + held_s
  demand_s = math.min(MOST_DEMAND_S, math.max(0, demand_s - idle_s / 2) + held_s)
  if demand_s < ENOUGH_DEMAND_S or now < hold_until or rate >= ceiling then return end
  growing = growth()
  set_rate(rate * math.exp(growing * math.min(held_s, LONGEST_STEP_S)))
end

local function cut(sent)
  if sent <= cut_at then return end
  cut_at = now
  shorts = (0 < sending_s and sending_s < SHORT * pause_s) and shorts + 1 or 0
  local from = rate
  if known > 0 then from = math.min(rate, math.max(known, rate * math.exp(-TAKEN_BACK_S * growing))) end
  pause_s, sending_s, growing = 0, 0, 0
  set_rate(from * (shorts >= SHORTS_IN_A_ROW and FAR_CUT or CUT))
  known = rate / CUT
end

local function pause(till)
  pause_s = (till - now) / 1000000
  hold_until = till + math.min(LONGEST_PAUSE_S, pause_s) * 1000000
end

-- The first cell from a time on that is free, and the gap that it lies in; none: behind all that was given.
local function find(earliest, is_alone)
  for place, gap in ipairs(gaps) do
    local cell = gap[1] + math.max(0, math.ceil((earliest - gap[1]) / interval)) * interval
    if cell + interval <= gap[2] + 1 then return cell, place end
  end
  local free = math.max(tat, now, paused_until)
  -- Whole intervals behind the last cell, so that what lies between can be used; by whom, if there are no others?
  if is_alone then return math.max(free, earliest) end
  return math.max(tat, free + math.max(0, math.ceil((earliest - free - 1) / interval)) * interval)
end

local function take(cell, place)
  if not place then
    local free = math.max(tat, now, paused_until)
    if cell - free >= interval - 1 then gaps[#gaps + 1] = { free, cell } end
    tat = cell + interval
    return
  end
  local gap = table.remove(gaps, place)
  if gap[2] - cell - interval >= interval - 1 then table.insert(gaps, place, { cell + interval, gap[2] }) end
  if cell - gap[1] >= interval - 1 then table.insert(gaps, place, { gap[1], cell }) end
end

local slots, opens, is_of_tail, is_held = {}, 0, true, false
if act == 'take' then
  while gaps[1] and (gaps[1][2] <= now or #gaps > 64) do table.remove(gaps, 1) end
  -- What is known of each member: until when it counts, its turn, what it took of late, whether it got too few.
  local mine, others, hungry, before, easy = nil, 0, 0, 0, 0
  local crowd = redis.call('HGETALL', members)
  for place = 1, #crowd, 2 do
    local at, till, turn, used, lacks = string.match(crowd[place + 1], '(%d+) (%d+) (%d+) ([%d.e+-]+) (%d)')
    local one = { at = tonumber(at), turn = tonumber(turn), lacks = lacks == '1' }
    -- A second on, a third of it counts.
    one.used = tonumber(used) * math.exp(math.min(0, one.at - now) / 1000000)
    if crowd[place] == me then
      mine = one
    elseif tonumber(till) < now then
      redis.call('HDEL', members, crowd[place])
    else
      others = others + 1
      if one.lacks then hungry = hungry + 1 else easy = easy + one.used end
      crowd[place + 1] = one
    end
  end
  mine = mine or { turn = 0, used = 0 }
  -- Those who got all that they wanted leave the rest to those who did not, and nobody gets less than an equal part.
  local share = math.max(rate / (others + 1), (rate - easy) / (hungry + 1))
  local is_far = ahead >= surplus
  -- Whoever is far away comes again after a round trip at the earliest: what it takes must last until then.
  local latest = now + ahead + (is_far and math.max(horizon, ahead + surplus) or horizon)
  -- The blocks of those who are near lie within half the horizon, so that each has its turn without being refused.
  local fair_until = is_far and latest or now + ahead + horizon / 2
  local is_spread = is_far and others > 0
  local turn = math.max(others == 0 and 0 or mine.turn, now + ahead - (is_spread and 0 or credit))
  local last = now
  while #slots < number do
    local earliest = math.max(now + ahead, paused_until, is_spread and math.floor(turn / step) * step or 0)
    local cell, place = find(earliest, others == 0)
    local slot = math.max(earliest, cell - slack)
    if slot > (turn <= fair_until and latest or now + surplus) then
      opens = math.max(slot - latest, turn - fair_until)
      if ahead < surplus then opens = math.min(opens, slot - surplus - now) end
      break
    end
    take(cell, place)
    is_of_tail = is_of_tail and not place
    is_held = is_held or (#slots < waiting and cell >= earliest + interval)
    turn = turn + 1000000 / share
    slots[#slots + 1] = string.format('%.0f', slot - now)
    last = slot
  end
  local lacks = #slots < number
  if #slots == 0 then
    -- Not all at once: those whose turn is before come before.
    for place = 2, #crowd, 2 do
      local one = crowd[place]
      if type(one) == 'table' and one.lacks and one.turn < turn then before = before + 1 end
    end
    opens = opens + before * math.min(interval, 10000)
  end
  redis.call('HSET', members, me, string.format('%.0f %.0f %.0f %.6g %d', now,
    last + 2 * ahead + patience, turn, mine.used + #slots, lacks and 1 or 0))
  if is_learned then
    -- Somebody waits whom nothing but the rate holds back: for the time since anybody took slots.
    if now >= paused_until and (is_held or #slots == 0) then
      grow(math.max(0, now - math.max(held_since, paused_until)) / 1000000)
    end
    held_since = now
  end
elseif act == 'back' or act == 'leave' then
  -- Only the last slots can be given back: of others nobody knows which cells they took.
  if number > 0 and kept[1] == mark then
    tat = tat - number * interval
    -- Where they did not follow one another, gaps lie between them: what is behind the last cell is no gap.
    while #gaps > 0 and gaps[#gaps][2] > tat do
      local gap = table.remove(gaps)
      if tat - gap[1] >= interval - 1 then
        gaps[#gaps + 1] = { gap[1], tat }
        break
      end
    end
  end
  if act == 'leave' then redis.call('HDEL', members, me) end
elseif act == 'pause' then
  if now + number > paused_until then
    paused_until = now + number
    pause(paused_until)
  end
  longest = math.max(longest or 0, number)
elseif act == 'resume' then
  if paused_until > now then pause(now) end
  paused_until, lifted, held_since = 0, lifted + 1, now
elseif act == 'cut' then
  if is_learned then cut(now - number) end
elseif act == 'rate' then
  rate = number
end
save()
return { string.format('%.9g', rate), string.format('%.0f', opens), is_of_tail and string.format('%.0f', tat) or '',
  string.format('%.0f', math.max(0, paused_until - now)), lifted, slots }
