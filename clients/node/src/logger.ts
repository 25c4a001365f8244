/** Where a worker says how it fares. */
import { debuglog } from "node:util";

/** Takes sentences; `console` is one, and so are most loggers. */
export interface Logger {
  /** What is as it should be. */
  info(message: string): void;
  /** What somebody should know of: attempts that failed, a service that is away. */
  warn(message: string): void;
}

const debug = debuglog("uwfq");

/** Warnings go to standard error, the rest only with `NODE_DEBUG=uwfq`. */
export const DEFAULT_LOGGER: Logger = {
  info: (message) => {
    debug("%s", message);
  },
  warn: (message) => {
    console.warn(message);
  },
};
