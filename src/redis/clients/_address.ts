/** What a URL says of a Redis. */
export interface Address {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly db: number;
}

/**
 * Reads `redis[s]://[user[:password]@]host[:port][/db]`, in the same way for every client.
 *
 * @throws {TypeError} If it is not that.
 */
export function parseAddress({ protocol, hostname, port, username, password, pathname }: URL): Address {
  if (protocol !== "redis:" && protocol !== "rediss:") {
    throw new TypeError(`Cannot connect to a Redis by "${protocol}": use redis:// or rediss://`);
  }
  if (!/^(\/\d*)?$/.test(pathname)) {
    throw new TypeError(
      `Cannot connect to database "${pathname.slice(1)}": give its number, as in redis://host:6379/1`,
    );
  }
  return {
    host: hostname.replace(/^\[|\]$/g, "") || "127.0.0.1",
    port: Number(port || 6379),
    tls: protocol === "rediss:",
    username: decodeURIComponent(username) || undefined,
    password: decodeURIComponent(password) || undefined,
    db: Number(pathname.slice(1) || 0),
  };
}
