-- The email sender reads the verdict on an email that it is to send: the router's word that it passed is no evidence.
grant usage on schema compliance to email_sender;
grant execute on function compliance.sending_verdict to email_sender;
