import { afterAll } from "vitest";
import { type Network, startNetwork } from "./network";
import { hangUp } from "./phone";
import { type Server, startServer } from "./server";

/** The service and the network in front of it, for all tests of a file. Both end after the last of them. */
export async function serve(
  settings: Record<string, string> = {},
): Promise<{ server: Server; network: Network }> {
  const server = await startServer(settings);
  const network = await startNetwork(server);
  afterAll(async () => {
    await hangUp();
    await network.close();
    await server.close();
  });
  return { server, network };
}
