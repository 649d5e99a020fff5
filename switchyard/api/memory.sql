-- name: used_in
select case_id::text, event_ts from caller_event
where subject = $1::uuid and tenant = $2 and transition = 'MemoryRecalled' and opened_on >= ($4::timestamptz at time zone 'utc')::date
  and payload -> 'used' @> jsonb_build_array(jsonb_build_object('id', $3::text))
order by log_index desc limit 100

-- name: forgetting
select scope, memory::text, signed_at, done_at, forgotten from case_manager.forgetting_of($1, $2, $3)
