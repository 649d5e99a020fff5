-- name: basins
select set_config('switchyard.well_basins', $1::text[]::text, true)

-- name: as_of
select min(as_of) from (select kind, max(as_of) as as_of from source_file where kind = any($1::text[]) group by kind) k

-- name: wells
select w.*, f.uri from well w join source_file f using (file_id) order by w.name, w.api

-- name: months
select m.api, m.month, m.oil_bbl, m.gas_mcf, m.water_bbl, m.days_on, m.basis, f.uri, m.line
from well_month m join source_file f using (file_id)
where m.api = any($1::text[]) and ($2::date is null or m.month >= $2) and ($3::date is null or m.month <= $3)
order by m.api, m.month, m.completion
limit $4

-- name: outages
select o.api, o.started_at, o.ended_at, o.cause, o.deferred_oil_bbl, f.uri, o.line
from outage o join source_file f using (file_id)
where o.api = any($1::text[]) order by o.api, o.started_at, o.outage_id
limit $2

-- name: lease_months
select l.lease, l.month, l.oil_bbl, l.gas_mcf, l.water_bbl, f.uri, l.line
from lease_month l join source_file f using (file_id)
where l.lease = any($1::text[]) order by l.lease, l.month
limit $2

-- name: stations
select s.wellbore, s.md_ft, s.inclination, s.azimuth, f.uri, s.line
from survey_station s join source_file f using (file_id)
where s.api = any($1::text[]) order by s.wellbore, s.md_ft
limit $2

-- name: curves
select c.wellbore, c.mnemonic, c.unit, c.description, c.depths_ft, c.samples, f.uri
from log_curve c join source_file f using (file_id)
where c.api = any($1::text[]) and ($2::text is null or lower(c.mnemonic) = lower($2)) order by c.wellbore, f.uri, c.mnemonic
limit $3

-- name: curve_names
select c.wellbore, c.mnemonic, c.unit, c.description, '{0}'::double precision[] as depths_ft,
  '{null}'::double precision[] as samples, f.uri
from log_curve c join source_file f using (file_id) where c.api = any($1::text[]) order by c.wellbore, f.uri, c.mnemonic
limit $2
