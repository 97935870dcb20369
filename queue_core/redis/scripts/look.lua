-- look: says when a partition next needs attention. Leases and changes nothing: a worker asks whether another one has
-- claimed what is due, see watch.py.
-- Returns {now_ms, next_due_ms or -1, watchers}, as in the answer of a claim

local looks = redis.call('HMGET', partition.looks, 'watchers', 'sweep')
return {now_ms, next_attention(partition, open_gate(partition, now_ms), now_ms, looks[2]), looks[1] or ''}
