-- Audit has no integrity alarm.
select coalesce(case_id::text, 'none') as case_id, format('%s: %s', kind, reason) as found from audit.integrity_alarm
