-- The agent reads the loaded data and changes none of it; operators load.
do $$
declare
  loaded text := 'source_file, well, well_month, outage, lease_month, survey_station, log_curve';
begin
  execute format('revoke insert, update, delete on %s from well_data', loaded);
  execute format('grant select, insert, update, delete on %s to operator', loaded);
end $$;
grant usage on schema well_data to operator;
grant execute on function basin_is_visible to well_data, operator;
