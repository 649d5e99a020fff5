-- The PostgreSQL image creates the database `work`; audit has a separate one.
create database audit;
