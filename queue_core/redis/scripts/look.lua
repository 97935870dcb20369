-- look: says when a partition next needs attention. Leases and changes nothing: a worker asks whether another one has
-- claimed what is due, see watch.py.
-- Returns {now_ms, next_due_ms or -1, watchers}, as in the answer of a claim

local looks = redis.call('HMGET', partition.looks, 'watchers', 'sweep')
local gate, is_on_hold = open_gate(partition.base, now_ms), redis.call('EXISTS', partition.hold) == 1
return {now_ms, next_attention(partition, gate, now_ms, is_on_hold, looks[2]), looks[1] or ''}
