/**
 * Which calls are tried again, when, and how often: the one service config that the clients of all
 * languages share, in gRPC's own format.
 *
 * Every unary call may be repeated: a submission carries a `jobId` or a `requestId`, stages go by
 * their names, the rest reads or sets a value.  A server that ends cancels the calls that have just
 * come to it.
 */
export const SERVICE_CONFIG = {
  methodConfig: [
    {
      name: [
        { service: "uwfq.v1.SchedulerService", method: "SubmitJob" },
        { service: "uwfq.v1.SchedulerService", method: "AddStages" },
        { service: "uwfq.v1.SchedulerService", method: "SplitStage" },
        { service: "uwfq.v1.SchedulerService", method: "DropStages" },
        { service: "uwfq.v1.SchedulerService", method: "CloseJob" },
        { service: "uwfq.v1.SchedulerService", method: "CancelJob" },
        { service: "uwfq.v1.SchedulerService", method: "NextTask" },
        { service: "uwfq.v1.SchedulerService", method: "TaskDone" },
        { service: "uwfq.v1.SchedulerService", method: "RenewLeases" },
        { service: "uwfq.v1.SchedulerService", method: "GetJob" },
        { service: "uwfq.v1.SchedulerService", method: "ListJobs" },
        { service: "uwfq.v1.SchedulerService", method: "WatchJob" },
        { service: "uwfq.v1.SchedulerService", method: "ExplainJob" },
        { service: "uwfq.v1.AdminService" },
      ],
      waitForReady: true,
      retryPolicy: {
        maxAttempts: 5,
        initialBackoff: "0.1s",
        maxBackoff: "5s",
        backoffMultiplier: 2,
        retryableStatusCodes: ["UNAVAILABLE", "CANCELLED"],
      },
    },
  ],
} as const;
