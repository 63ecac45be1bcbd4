import { assert } from "@std/assert";
import { freePort } from "./_free_port.ts";
import { RedisServer } from "./_server.ts";

/** A certificate and its key in PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** A certificate authority with its files in a temporary folder. */
export class Authority implements AsyncDisposable {
  readonly folder: string = Deno.makeTempDirSync({ prefix: "tidings-tls-" });
  #made = 0;
  #ca: Certificate | undefined;

  static async make(): Promise<Authority> {
    const authority = new Authority();
    authority.#ca = await authority.#certificate("ca", "basicConstraints=critical,CA:TRUE", []);
    return authority;
  }

  get ca(): string {
    return this.#ca!.cert;
  }

  /** Signs a certificate. @param names Its alternative names, such as `DNS:localhost`. */
  async sign(names = "DNS:client"): Promise<Certificate> {
    const from = ["-CA", `${this.folder}/ca.pem`, "-CAkey", `${this.folder}/ca.key`];
    const extensions = `basicConstraints=critical,CA:FALSE\nsubjectAltName=${names}`;
    return await this.#certificate(`signed-${++this.#made}`, extensions, from);
  }

  async #certificate(name: string, extensions: string, from: readonly string[]): Promise<Certificate> {
    const [config, key, cert] = ["cnf", "key", "pem"].map((ending) => `${this.folder}/${name}.${ending}`);
    await Deno.writeTextFile(
      config!,
      `[req]\ndistinguished_name=dn\nprompt=no\nx509_extensions=ext\n[dn]\nCN=${name}\n[ext]\n${extensions}\n`,
    );
    const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"];
    const { success, stderr } = await new Deno.Command("openssl", {
      args: ["req", "-x509", ...kind, "-config", config!, "-keyout", key!, "-out", cert!, ...from],
    }).output();
    assert(success, new TextDecoder().decode(stderr));
    return { cert: await Deno.readTextFile(cert!), key: await Deno.readTextFile(key!) };
  }

  /**
   * Starts a server with a certificate for `localhost`, and resolves with it and its port for TLS.
   *
   * @param options.asks Whether clients need a certificate of this authority.
   */
  async serve(
    { asks = false, args = [] }: { asks?: boolean; args?: readonly string[] } = {},
  ): Promise<AsyncDisposable & { readonly server: RedisServer; readonly url: string }> {
    await this.sign("DNS:localhost");
    const tlsPort = freePort();
    const server = await RedisServer.start([...this.serverArgs(tlsPort, asks), ...args]);
    return {
      server,
      url: `rediss://localhost:${tlsPort}`,
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  }

  /** Arguments of a server that uses the last signed certificate on a port for TLS. */
  serverArgs(tlsPort: number, asks = false): string[] {
    const file = `${this.folder}/signed-${this.#made}`;
    const files = ["--tls-cert-file", `${file}.pem`, "--tls-key-file", `${file}.key`];
    const trust = ["--tls-ca-cert-file", `${this.folder}/ca.pem`, "--tls-auth-clients", asks ? "yes" : "no"];
    return ["--tls-port", String(tlsPort), ...files, ...trust];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }
}
