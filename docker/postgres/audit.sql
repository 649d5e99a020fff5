-- The image makes one database, `work`; audit has one of its own.
create database audit;
