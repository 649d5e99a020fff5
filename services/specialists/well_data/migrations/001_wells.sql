-- Loaded well data. A transaction sees the rows of its scope's tenant in the basins that the asking user's role allows,
-- which it sets, too; without both there are no rows.

create function basin_is_visible(the_basin text) returns boolean
language sql stable as $$
  select coalesce(
    '*' = any (b.named) or the_basin = any (b.named), false
  )
  from (select nullif(current_setting('switchyard.well_basins', true), '')::text[] as named) b
$$;
comment on function basin_is_visible is 'Whether this transaction may see wells of a basin; * in the setting stands for all.';

create table source_file (
  file_id   bigint generated always as identity primary key,
  tenant    text not null,
  uri       text not null,
  kind      text not null check (kind in ('wells', 'production', 'downtime', 'lease_meters', 'survey', 'log')),
  sha256    text not null,
  as_of     date not null,
  accepted  integer not null,
  refused   integer not null,
  loaded_at timestamptz not null default clock_timestamp(),
  unique (tenant, uri)
);
comment on table source_file is 'One row per loaded file; its rows point here, with their line.';
comment on column source_file.as_of is 'The day up to which the file was complete when it was loaded.';

create table well (
  tenant             text not null,
  api                text not null check (api ~ '^[0-9]{2}-[0-9]{3}-[0-9]{5}$'),
  name               text not null,
  basin              text not null,
  field              text,
  formation          text,
  county             text,
  state              text,
  operator           text,
  pad                text,
  lease              text,
  status             text check (status in ('producing', 'shut_in', 'plugged', 'drilling')),
  lift_type          text,
  spud_date          date,
  first_production   date,
  completed_on       date,
  latitude           double precision,
  longitude          double precision,
  lateral_length_ft  double precision,
  perforated_top_ft  double precision,
  perforated_base_ft double precision,
  stages             double precision,
  proppant_lb        double precision,
  file_id            bigint not null references source_file,
  line               integer not null,
  primary key (tenant, api)
);
create index well_file on well (file_id);
comment on table well is 'Header and completion facts, one row per API-10. Null is unknown.';

create table well_month (
  tenant     text not null,
  api        text not null,
  completion text not null,
  month      date not null check (extract(day from month) = 1),
  oil_bbl    double precision check (oil_bbl >= 0),
  gas_mcf    double precision check (gas_mcf >= 0),
  water_bbl  double precision check (water_bbl >= 0),
  days_on    double precision check (days_on >= 0),
  basis      text not null check (basis in ('measured', 'reported', 'allocated')),
  file_id    bigint not null references source_file,
  line       integer not null,
  primary key (tenant, api, completion, month)
);
create index well_month_file on well_month (file_id);
comment on table well_month is 'Production of one completion in one month. Null was not reported.';
comment on column well_month.completion is 'Digits 11 to 14 of the API number, as 00-00; empty if the file names the well only.';
comment on column well_month.basis is 'allocated: a share of a lease''s volume, as for oil in Texas.';

create table outage (
  tenant           text not null,
  outage_id        text not null,
  api              text not null,
  started_at       timestamp not null,
  ended_at         timestamp check (ended_at >= started_at),
  cause            text not null,
  deferred_oil_bbl double precision check (deferred_oil_bbl >= 0),
  file_id          bigint not null references source_file,
  line             integer not null,
  primary key (tenant, outage_id)
);
create index outage_well on outage (tenant, api);
create index outage_file on outage (file_id);
comment on table outage is 'Times that wells were down, in UTC; without an end the well is still down.';

create table lease_month (
  tenant    text not null,
  lease     text not null,
  month     date not null check (extract(day from month) = 1),
  oil_bbl   double precision check (oil_bbl >= 0),
  gas_mcf   double precision check (gas_mcf >= 0),
  water_bbl double precision check (water_bbl >= 0),
  file_id   bigint not null references source_file,
  line      integer not null,
  primary key (tenant, lease, month)
);
create index lease_month_file on lease_month (file_id);
comment on table lease_month is 'What the meter of a lease measured in a month.';

create table survey_station (
  tenant      text not null,
  api         text not null,
  wellbore    text not null,
  md_ft       double precision not null check (md_ft >= 0),
  inclination double precision not null check (inclination between 0 and 180),
  azimuth     double precision not null check (azimuth between 0 and 360),
  file_id     bigint not null references source_file,
  line        integer not null,
  primary key (tenant, wellbore, md_ft)
);
create index survey_station_file on survey_station (file_id);
comment on table survey_station is 'Stations of deviation surveys by wellbore (API-12): depth along hole in ft, angles in degrees.';

create table log_curve (
  tenant      text not null,
  api         text not null,
  wellbore    text not null,
  mnemonic    text not null,
  unit        text not null,
  description text not null,
  depths_ft   double precision[] not null,
  samples     double precision[] not null,
  file_id     bigint not null references source_file,
  primary key (tenant, wellbore, file_id, mnemonic)
);
comment on table log_curve is 'Curves of LAS files; a null sample is the file''s null.';

do $$
declare
  the_table text;
begin
  foreach the_table in array array[
    'source_file', 'well', 'well_month', 'outage', 'lease_month', 'survey_station', 'log_curve'
  ] loop
    execute format('alter table %I enable row level security, force row level security', the_table);
  end loop;
end $$;
-- One policy per table, with tenant and basin: a second one would add rows. The sub-selects are under the policy of `well`.
create policy of_tenant on source_file using (tenant = scope('tenant'));
create policy of_tenant_and_basin on well using (tenant = scope('tenant') and basin_is_visible(basin));
create policy of_visible_well on well_month using (tenant = scope('tenant') and api in (select w.api from well w));
create policy of_visible_well on outage using (tenant = scope('tenant') and api in (select w.api from well w));
create policy of_visible_well on survey_station using (tenant = scope('tenant') and api in (select w.api from well w));
create policy of_visible_well on log_curve using (tenant = scope('tenant') and api in (select w.api from well w));
create policy of_visible_lease on lease_month using (tenant = scope('tenant') and lease in (select w.lease from well w));
