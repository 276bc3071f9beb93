-- The code that an authenticator with :secret shows in :later seconds, as :code.
\set code `oathtool --totp --base32 --now "@$(($(date +%s) + :later))" :'secret'`
