-- name: all_basins
select set_config('switchyard.well_basins', '{*}', true)

-- name: lock
select pg_advisory_xact_lock(hashtextextended('well_data load ' || $1, 0))

-- name: loaded
select file_id, sha256, as_of, accepted, refused from source_file where tenant = $1 and uri = $2

-- name: known_wells
select api from well where tenant = $1

-- name: known_leases
select distinct lease from well where tenant = $1 and lease is not null

-- name: record_file
insert into source_file as f (tenant, uri, kind, sha256, as_of, accepted, refused) values ($1, $2, $3, $4, $5, $6, $7)
on conflict (tenant, uri) do update set kind = excluded.kind, sha256 = excluded.sha256, as_of = excluded.as_of,
  accepted = excluded.accepted, refused = excluded.refused, loaded_at = clock_timestamp()
returning file_id

-- name: delete_rows
with
  w as (delete from well where file_id = $1),
  p as (delete from well_month where file_id = $1),
  o as (delete from outage where file_id = $1),
  l as (delete from lease_month where file_id = $1),
  s as (delete from survey_station where file_id = $1),
  c as (delete from log_curve where file_id = $1)
select 1

-- name: save_log
insert into log_curve (tenant, file_id, api, wellbore, mnemonic, unit, description, depths_ft, samples)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: save_wells
insert into well (
  tenant, file_id, line, api, name, basin, field, formation, county, state, operator, pad, lease, status, lift_type,
  spud_date, first_production, completed_on, latitude, longitude, lateral_length_ft, perforated_top_ft,
  perforated_base_ft, stages, proppant_lb
)
select $1, $2, u.* from unnest(
  $3::integer[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
  $12::text[], $13::text[], $14::text[], $15::text[], $16::date[], $17::date[], $18::date[], $19::double precision[],
  $20::double precision[], $21::double precision[], $22::double precision[], $23::double precision[], $24::double
  precision[], $25::double precision[]
) u
on conflict (tenant, api) do update set
  file_id = excluded.file_id, line = excluded.line, name = excluded.name, basin = excluded.basin, field =
  excluded.field, formation = excluded.formation, county = excluded.county, state = excluded.state, operator =
  excluded.operator, pad = excluded.pad, lease = excluded.lease, status = excluded.status, lift_type =
  excluded.lift_type, spud_date = excluded.spud_date, first_production = excluded.first_production, completed_on =
  excluded.completed_on, latitude = excluded.latitude, longitude = excluded.longitude, lateral_length_ft =
  excluded.lateral_length_ft, perforated_top_ft = excluded.perforated_top_ft, perforated_base_ft =
  excluded.perforated_base_ft, stages = excluded.stages, proppant_lb = excluded.proppant_lb

-- name: save_production
insert into well_month (
  tenant, file_id, line, api, completion, month, oil_bbl, gas_mcf, water_bbl, days_on, basis
)
select $1, $2, u.* from unnest(
  $3::integer[], $4::text[], $5::text[], $6::date[], $7::double precision[], $8::double precision[], $9::double
  precision[], $10::double precision[], $11::text[]
) u
on conflict (tenant, api, completion, month) do update set
  file_id = excluded.file_id, line = excluded.line, oil_bbl = excluded.oil_bbl, gas_mcf = excluded.gas_mcf, water_bbl
  = excluded.water_bbl, days_on = excluded.days_on, basis = excluded.basis

-- name: save_downtime
insert into outage (
  tenant, file_id, line, outage_id, api, started_at, ended_at, cause, deferred_oil_bbl
)
select $1, $2, u.* from unnest(
  $3::integer[], $4::text[], $5::text[], $6::timestamp[], $7::timestamp[], $8::text[], $9::double precision[]
) u
on conflict (tenant, outage_id) do update set
  file_id = excluded.file_id, line = excluded.line, api = excluded.api, started_at = excluded.started_at, ended_at =
  excluded.ended_at, cause = excluded.cause, deferred_oil_bbl = excluded.deferred_oil_bbl

-- name: save_lease_meters
insert into lease_month (
  tenant, file_id, line, lease, month, oil_bbl, gas_mcf, water_bbl
)
select $1, $2, u.* from unnest(
  $3::integer[], $4::text[], $5::date[], $6::double precision[], $7::double precision[], $8::double precision[]
) u
on conflict (tenant, lease, month) do update set
  file_id = excluded.file_id, line = excluded.line, oil_bbl = excluded.oil_bbl, gas_mcf = excluded.gas_mcf, water_bbl
  = excluded.water_bbl

-- name: save_survey
insert into survey_station (
  tenant, file_id, line, api, wellbore, md_ft, inclination, azimuth
)
select $1, $2, u.* from unnest(
  $3::integer[], $4::text[], $5::text[], $6::double precision[], $7::double precision[], $8::double precision[]
) u
on conflict (tenant, wellbore, md_ft) do update set
  file_id = excluded.file_id, line = excluded.line, api = excluded.api, inclination = excluded.inclination, azimuth =
  excluded.azimuth
