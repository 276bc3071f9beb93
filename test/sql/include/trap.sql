-- One trap: the client sends :statement, which answers :answer.
\o /dev/null
:statement;
\set sqlstate :SQLSTATE
:after
\o
SELECT is(:'sqlstate'::text, :'answer', :'way');
