alter table inbox add column model_attempts text;
comment on column inbox.model_attempts is
  'JSON array: what models did in attempts that failed. A redelivery does not ask first what failed here.';
