-- alice asks, bob and carol decide (carol through a group), dave does neither, ada administers, olga audits.
CREATE ROLE alice LOGIN;
CREATE ROLE bob LOGIN;
CREATE ROLE carol LOGIN;
CREATE ROLE dave LOGIN;
CREATE ROLE ada LOGIN IN ROLE jit_admin;
CREATE ROLE olga LOGIN IN ROLE jit_auditor;
CREATE ROLE developers ROLE alice;
CREATE ROLE leads ROLE bob, carol;

CREATE SCHEMA app;
CREATE TABLE app.orders (id integer PRIMARY KEY, status text, card text);
CREATE TABLE app.customers (id integer PRIMARY KEY, name text);
INSERT INTO app.orders VALUES (1, 'new', '4711'), (2, 'paid', '4712'), (3, 'sent', '4713');
INSERT INTO app.customers VALUES (1, 'Kim'), (2, 'Lee');
CREATE SEQUENCE app.numbers;
CREATE FUNCTION app.next_status(text) RETURNS text LANGUAGE sql AS $$ SELECT $1 || '!' $$;
REVOKE EXECUTE ON FUNCTION app.next_status(text) FROM PUBLIC;
GRANT USAGE ON SCHEMA app TO ada;    -- to look up what others hold there
