/** Where a Postgres database is and who signs in. `host` may be a folder: the Unix socket's. */
export interface DatabaseAddress {
  host: string;
  port: number;
  database: string;
  user: string;
  password: string;
  /** TLS as libpq's `sslmode` names it; embedded databases need none. */
  ssl?: 'require' | 'verify-full';
}

/** Reads `postgres://user:password@host:port/database?sslmode=…`; throws an error that never repeats the password. */
export function parseDatabaseUrl(text: string): DatabaseAddress {
  const url = URL.parse(text);
  if (url === null || !/^postgres(ql)?:$/.test(url.protocol)) throw new Error('DATABASE_URL must look like postgres://user:password@host:5432/database');
  const sslmode = url.searchParams.get('sslmode');
  const address: DatabaseAddress = {
    host: url.searchParams.get('host') ?? url.hostname,
    port: Number(url.port === '' ? 5432 : url.port),
    database: decodeURIComponent(url.pathname.slice(1)),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
  };
  if (address.database === '' || address.user === '') throw new Error('DATABASE_URL must name a user and a database');
  if (sslmode === 'require' || sslmode === 'verify-full') address.ssl = sslmode;
  return address;
}
