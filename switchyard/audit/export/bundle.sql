-- name: events_of_case
select e.log_index, clamped(t.recorded_at) as recorded_at, t.mac, t.mac_key::text, t.body, c.number as checkpoint
from transition t
left join log_entry e using (opened_on, event_id)
left join checkpoint c on c.log = $2 and e.log_index between c.first_index and c.last_index
where t.case_id = $1
order by t.seq, t.ordinal, t.event_id
