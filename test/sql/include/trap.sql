-- One way: the client sends :statement, which ends with :answer.
\o /dev/null
:statement;
\set sqlstate :SQLSTATE
:after
\o
SELECT is(:'sqlstate'::text, :'answer', :'way');
