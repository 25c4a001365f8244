package io.uwfq.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Submitters bring jobs, workers and engines ask what to run next and report how it went.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class SchedulerServiceGrpc {

  private SchedulerServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "uwfq.v1.SchedulerService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.uwfq.v1.SubmitJobRequest,
      io.uwfq.v1.SubmitJobResponse> getSubmitJobMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "SubmitJob",
      requestType = io.uwfq.v1.SubmitJobRequest.class,
      responseType = io.uwfq.v1.SubmitJobResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.uwfq.v1.SubmitJobRequest,
      io.uwfq.v1.SubmitJobResponse> getSubmitJobMethod() {
    io.grpc.MethodDescriptor<io.uwfq.v1.SubmitJobRequest, io.uwfq.v1.SubmitJobResponse> getSubmitJobMethod;
    if ((getSubmitJobMethod = SchedulerServiceGrpc.getSubmitJobMethod) == null) {
      synchronized (SchedulerServiceGrpc.class) {
        if ((getSubmitJobMethod = SchedulerServiceGrpc.getSubmitJobMethod) == null) {
          SchedulerServiceGrpc.getSubmitJobMethod = getSubmitJobMethod =
              io.grpc.MethodDescriptor.<io.uwfq.v1.SubmitJobRequest, io.uwfq.v1.SubmitJobResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "SubmitJob"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.SubmitJobRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.SubmitJobResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SchedulerServiceMethodDescriptorSupplier("SubmitJob"))
              .build();
        }
      }
    }
    return getSubmitJobMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.uwfq.v1.AddStagesRequest,
      io.uwfq.v1.AddStagesResponse> getAddStagesMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "AddStages",
      requestType = io.uwfq.v1.AddStagesRequest.class,
      responseType = io.uwfq.v1.AddStagesResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.uwfq.v1.AddStagesRequest,
      io.uwfq.v1.AddStagesResponse> getAddStagesMethod() {
    io.grpc.MethodDescriptor<io.uwfq.v1.AddStagesRequest, io.uwfq.v1.AddStagesResponse> getAddStagesMethod;
    if ((getAddStagesMethod = SchedulerServiceGrpc.getAddStagesMethod) == null) {
      synchronized (SchedulerServiceGrpc.class) {
        if ((getAddStagesMethod = SchedulerServiceGrpc.getAddStagesMethod) == null) {
          SchedulerServiceGrpc.getAddStagesMethod = getAddStagesMethod =
              io.grpc.MethodDescriptor.<io.uwfq.v1.AddStagesRequest, io.uwfq.v1.AddStagesResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "AddStages"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.AddStagesRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.AddStagesResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SchedulerServiceMethodDescriptorSupplier("AddStages"))
              .build();
        }
      }
    }
    return getAddStagesMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.uwfq.v1.SplitStageRequest,
      io.uwfq.v1.SplitStageResponse> getSplitStageMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "SplitStage",
      requestType = io.uwfq.v1.SplitStageRequest.class,
      responseType = io.uwfq.v1.SplitStageResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.uwfq.v1.SplitStageRequest,
      io.uwfq.v1.SplitStageResponse> getSplitStageMethod() {
    io.grpc.MethodDescriptor<io.uwfq.v1.SplitStageRequest, io.uwfq.v1.SplitStageResponse> getSplitStageMethod;
    if ((getSplitStageMethod = SchedulerServiceGrpc.getSplitStageMethod) == null) {
      synchronized (SchedulerServiceGrpc.class) {
        if ((getSplitStageMethod = SchedulerServiceGrpc.getSplitStageMethod) == null) {
          SchedulerServiceGrpc.getSplitStageMethod = getSplitStageMethod =
              io.grpc.MethodDescriptor.<io.uwfq.v1.SplitStageRequest, io.uwfq.v1.SplitStageResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "SplitStage"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.SplitStageRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.SplitStageResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SchedulerServiceMethodDescriptorSupplier("SplitStage"))
              .build();
        }
      }
    }
    return getSplitStageMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.uwfq.v1.DropStagesRequest,
      io.uwfq.v1.DropStagesResponse> getDropStagesMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "DropStages",
      requestType = io.uwfq.v1.DropStagesRequest.class,
      responseType = io.uwfq.v1.DropStagesResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.uwfq.v1.DropStagesRequest,
      io.uwfq.v1.DropStagesResponse> getDropStagesMethod() {
    io.grpc.MethodDescriptor<io.uwfq.v1.DropStagesRequest, io.uwfq.v1.DropStagesResponse> getDropStagesMethod;
    if ((getDropStagesMethod = SchedulerServiceGrpc.getDropStagesMethod) == null) {
      synchronized (SchedulerServiceGrpc.class) {
        if ((getDropStagesMethod = SchedulerServiceGrpc.getDropStagesMethod) == null) {
          SchedulerServiceGrpc.getDropStagesMethod = getDropStagesMethod =
              io.grpc.MethodDescriptor.<io.uwfq.v1.DropStagesRequest, io.uwfq.v1.DropStagesResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "DropStages"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.DropStagesRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.DropStagesResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SchedulerServiceMethodDescriptorSupplier("DropStages"))
              .build();
        }
      }
    }
    return getDropStagesMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.uwfq.v1.CloseJobRequest,
      io.uwfq.v1.CloseJobResponse> getCloseJobMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CloseJob",
      requestType = io.uwfq.v1.CloseJobRequest.class,
      responseType = io.uwfq.v1.CloseJobResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.uwfq.v1.CloseJobRequest,
      io.uwfq.v1.CloseJobResponse> getCloseJobMethod() {
    io.grpc.MethodDescriptor<io.uwfq.v1.CloseJobRequest, io.uwfq.v1.CloseJobResponse> getCloseJobMethod;
    if ((getCloseJobMethod = SchedulerServiceGrpc.getCloseJobMethod) == null) {
      synchronized (SchedulerServiceGrpc.class) {
        if ((getCloseJobMethod = SchedulerServiceGrpc.getCloseJobMethod) == null) {
          SchedulerServiceGrpc.getCloseJobMethod = getCloseJobMethod =
              io.grpc.MethodDescriptor.<io.uwfq.v1.CloseJobRequest, io.uwfq.v1.CloseJobResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CloseJob"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.CloseJobRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.CloseJobResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SchedulerServiceMethodDescriptorSupplier("CloseJob"))
              .build();
        }
      }
    }
    return getCloseJobMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.uwfq.v1.CancelJobRequest,
      io.uwfq.v1.CancelJobResponse> getCancelJobMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CancelJob",
      requestType = io.uwfq.v1.CancelJobRequest.class,
      responseType = io.uwfq.v1.CancelJobResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.uwfq.v1.CancelJobRequest,
      io.uwfq.v1.CancelJobResponse> getCancelJobMethod() {
    io.grpc.MethodDescriptor<io.uwfq.v1.CancelJobRequest, io.uwfq.v1.CancelJobResponse> getCancelJobMethod;
    if ((getCancelJobMethod = SchedulerServiceGrpc.getCancelJobMethod) == null) {
      synchronized (SchedulerServiceGrpc.class) {
        if ((getCancelJobMethod = SchedulerServiceGrpc.getCancelJobMethod) == null) {
          SchedulerServiceGrpc.getCancelJobMethod = getCancelJobMethod =
              io.grpc.MethodDescriptor.<io.uwfq.v1.CancelJobRequest, io.uwfq.v1.CancelJobResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CancelJob"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.CancelJobRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.CancelJobResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SchedulerServiceMethodDescriptorSupplier("CancelJob"))
              .build();
        }
      }
    }
    return getCancelJobMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.uwfq.v1.NextTaskRequest,
      io.uwfq.v1.NextTaskResponse> getNextTaskMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "NextTask",
      requestType = io.uwfq.v1.NextTaskRequest.class,
      responseType = io.uwfq.v1.NextTaskResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.uwfq.v1.NextTaskRequest,
      io.uwfq.v1.NextTaskResponse> getNextTaskMethod() {
    io.grpc.MethodDescriptor<io.uwfq.v1.NextTaskRequest, io.uwfq.v1.NextTaskResponse> getNextTaskMethod;
    if ((getNextTaskMethod = SchedulerServiceGrpc.getNextTaskMethod) == null) {
      synchronized (SchedulerServiceGrpc.class) {
        if ((getNextTaskMethod = SchedulerServiceGrpc.getNextTaskMethod) == null) {
          SchedulerServiceGrpc.getNextTaskMethod = getNextTaskMethod =
              io.grpc.MethodDescriptor.<io.uwfq.v1.NextTaskRequest, io.uwfq.v1.NextTaskResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "NextTask"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.NextTaskRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.NextTaskResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SchedulerServiceMethodDescriptorSupplier("NextTask"))
              .build();
        }
      }
    }
    return getNextTaskMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.uwfq.v1.TaskDoneRequest,
      io.uwfq.v1.TaskDoneResponse> getTaskDoneMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "TaskDone",
      requestType = io.uwfq.v1.TaskDoneRequest.class,
      responseType = io.uwfq.v1.TaskDoneResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.uwfq.v1.TaskDoneRequest,
      io.uwfq.v1.TaskDoneResponse> getTaskDoneMethod() {
    io.grpc.MethodDescriptor<io.uwfq.v1.TaskDoneRequest, io.uwfq.v1.TaskDoneResponse> getTaskDoneMethod;
    if ((getTaskDoneMethod = SchedulerServiceGrpc.getTaskDoneMethod) == null) {
      synchronized (SchedulerServiceGrpc.class) {
        if ((getTaskDoneMethod = SchedulerServiceGrpc.getTaskDoneMethod) == null) {
          SchedulerServiceGrpc.getTaskDoneMethod = getTaskDoneMethod =
              io.grpc.MethodDescriptor.<io.uwfq.v1.TaskDoneRequest, io.uwfq.v1.TaskDoneResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "TaskDone"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.TaskDoneRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.TaskDoneResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SchedulerServiceMethodDescriptorSupplier("TaskDone"))
              .build();
        }
      }
    }
    return getTaskDoneMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.uwfq.v1.RenewLeasesRequest,
      io.uwfq.v1.RenewLeasesResponse> getRenewLeasesMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "RenewLeases",
      requestType = io.uwfq.v1.RenewLeasesRequest.class,
      responseType = io.uwfq.v1.RenewLeasesResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.uwfq.v1.RenewLeasesRequest,
      io.uwfq.v1.RenewLeasesResponse> getRenewLeasesMethod() {
    io.grpc.MethodDescriptor<io.uwfq.v1.RenewLeasesRequest, io.uwfq.v1.RenewLeasesResponse> getRenewLeasesMethod;
    if ((getRenewLeasesMethod = SchedulerServiceGrpc.getRenewLeasesMethod) == null) {
      synchronized (SchedulerServiceGrpc.class) {
        if ((getRenewLeasesMethod = SchedulerServiceGrpc.getRenewLeasesMethod) == null) {
          SchedulerServiceGrpc.getRenewLeasesMethod = getRenewLeasesMethod =
              io.grpc.MethodDescriptor.<io.uwfq.v1.RenewLeasesRequest, io.uwfq.v1.RenewLeasesResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "RenewLeases"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.RenewLeasesRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.RenewLeasesResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SchedulerServiceMethodDescriptorSupplier("RenewLeases"))
              .build();
        }
      }
    }
    return getRenewLeasesMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.uwfq.v1.WorkRequest,
      io.uwfq.v1.WorkResponse> getWorkMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Work",
      requestType = io.uwfq.v1.WorkRequest.class,
      responseType = io.uwfq.v1.WorkResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
  public static io.grpc.MethodDescriptor<io.uwfq.v1.WorkRequest,
      io.uwfq.v1.WorkResponse> getWorkMethod() {
    io.grpc.MethodDescriptor<io.uwfq.v1.WorkRequest, io.uwfq.v1.WorkResponse> getWorkMethod;
    if ((getWorkMethod = SchedulerServiceGrpc.getWorkMethod) == null) {
      synchronized (SchedulerServiceGrpc.class) {
        if ((getWorkMethod = SchedulerServiceGrpc.getWorkMethod) == null) {
          SchedulerServiceGrpc.getWorkMethod = getWorkMethod =
              io.grpc.MethodDescriptor.<io.uwfq.v1.WorkRequest, io.uwfq.v1.WorkResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Work"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.WorkRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.WorkResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SchedulerServiceMethodDescriptorSupplier("Work"))
              .build();
        }
      }
    }
    return getWorkMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.uwfq.v1.GetJobRequest,
      io.uwfq.v1.GetJobResponse> getGetJobMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetJob",
      requestType = io.uwfq.v1.GetJobRequest.class,
      responseType = io.uwfq.v1.GetJobResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.uwfq.v1.GetJobRequest,
      io.uwfq.v1.GetJobResponse> getGetJobMethod() {
    io.grpc.MethodDescriptor<io.uwfq.v1.GetJobRequest, io.uwfq.v1.GetJobResponse> getGetJobMethod;
    if ((getGetJobMethod = SchedulerServiceGrpc.getGetJobMethod) == null) {
      synchronized (SchedulerServiceGrpc.class) {
        if ((getGetJobMethod = SchedulerServiceGrpc.getGetJobMethod) == null) {
          SchedulerServiceGrpc.getGetJobMethod = getGetJobMethod =
              io.grpc.MethodDescriptor.<io.uwfq.v1.GetJobRequest, io.uwfq.v1.GetJobResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetJob"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.GetJobRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.GetJobResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SchedulerServiceMethodDescriptorSupplier("GetJob"))
              .build();
        }
      }
    }
    return getGetJobMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.uwfq.v1.ListJobsRequest,
      io.uwfq.v1.ListJobsResponse> getListJobsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListJobs",
      requestType = io.uwfq.v1.ListJobsRequest.class,
      responseType = io.uwfq.v1.ListJobsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.uwfq.v1.ListJobsRequest,
      io.uwfq.v1.ListJobsResponse> getListJobsMethod() {
    io.grpc.MethodDescriptor<io.uwfq.v1.ListJobsRequest, io.uwfq.v1.ListJobsResponse> getListJobsMethod;
    if ((getListJobsMethod = SchedulerServiceGrpc.getListJobsMethod) == null) {
      synchronized (SchedulerServiceGrpc.class) {
        if ((getListJobsMethod = SchedulerServiceGrpc.getListJobsMethod) == null) {
          SchedulerServiceGrpc.getListJobsMethod = getListJobsMethod =
              io.grpc.MethodDescriptor.<io.uwfq.v1.ListJobsRequest, io.uwfq.v1.ListJobsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListJobs"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.ListJobsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.ListJobsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SchedulerServiceMethodDescriptorSupplier("ListJobs"))
              .build();
        }
      }
    }
    return getListJobsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.uwfq.v1.WatchJobRequest,
      io.uwfq.v1.WatchJobResponse> getWatchJobMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "WatchJob",
      requestType = io.uwfq.v1.WatchJobRequest.class,
      responseType = io.uwfq.v1.WatchJobResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<io.uwfq.v1.WatchJobRequest,
      io.uwfq.v1.WatchJobResponse> getWatchJobMethod() {
    io.grpc.MethodDescriptor<io.uwfq.v1.WatchJobRequest, io.uwfq.v1.WatchJobResponse> getWatchJobMethod;
    if ((getWatchJobMethod = SchedulerServiceGrpc.getWatchJobMethod) == null) {
      synchronized (SchedulerServiceGrpc.class) {
        if ((getWatchJobMethod = SchedulerServiceGrpc.getWatchJobMethod) == null) {
          SchedulerServiceGrpc.getWatchJobMethod = getWatchJobMethod =
              io.grpc.MethodDescriptor.<io.uwfq.v1.WatchJobRequest, io.uwfq.v1.WatchJobResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "WatchJob"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.WatchJobRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.WatchJobResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SchedulerServiceMethodDescriptorSupplier("WatchJob"))
              .build();
        }
      }
    }
    return getWatchJobMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.uwfq.v1.ExplainJobRequest,
      io.uwfq.v1.ExplainJobResponse> getExplainJobMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ExplainJob",
      requestType = io.uwfq.v1.ExplainJobRequest.class,
      responseType = io.uwfq.v1.ExplainJobResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.uwfq.v1.ExplainJobRequest,
      io.uwfq.v1.ExplainJobResponse> getExplainJobMethod() {
    io.grpc.MethodDescriptor<io.uwfq.v1.ExplainJobRequest, io.uwfq.v1.ExplainJobResponse> getExplainJobMethod;
    if ((getExplainJobMethod = SchedulerServiceGrpc.getExplainJobMethod) == null) {
      synchronized (SchedulerServiceGrpc.class) {
        if ((getExplainJobMethod = SchedulerServiceGrpc.getExplainJobMethod) == null) {
          SchedulerServiceGrpc.getExplainJobMethod = getExplainJobMethod =
              io.grpc.MethodDescriptor.<io.uwfq.v1.ExplainJobRequest, io.uwfq.v1.ExplainJobResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ExplainJob"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.ExplainJobRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.ExplainJobResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SchedulerServiceMethodDescriptorSupplier("ExplainJob"))
              .build();
        }
      }
    }
    return getExplainJobMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static SchedulerServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<SchedulerServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<SchedulerServiceStub>() {
        @java.lang.Override
        public SchedulerServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new SchedulerServiceStub(channel, callOptions);
        }
      };
    return SchedulerServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static SchedulerServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<SchedulerServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<SchedulerServiceBlockingV2Stub>() {
        @java.lang.Override
        public SchedulerServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new SchedulerServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return SchedulerServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static SchedulerServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<SchedulerServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<SchedulerServiceBlockingStub>() {
        @java.lang.Override
        public SchedulerServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new SchedulerServiceBlockingStub(channel, callOptions);
        }
      };
    return SchedulerServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static SchedulerServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<SchedulerServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<SchedulerServiceFutureStub>() {
        @java.lang.Override
        public SchedulerServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new SchedulerServiceFutureStub(channel, callOptions);
        }
      };
    return SchedulerServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Submitters bring jobs, workers and engines ask what to run next and report how it went.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Admits a job: estimates its work, cuts it into tasks, gives it a virtual deadline.  Idempotent by
     * `job_id` or `request_id`: the same content again gives the same answer, other content is
     * ALREADY_EXISTS.  RESOURCE_EXHAUSTED when a backlog limit is reached: as many unfinished jobs as the
     * user or the pool may have (200,000 and 2,000,000 if not configured otherwise), or an engine that is
     * one worker more than the pool may have; FAILED_PRECONDITION (TOO_MANY_USERS) for a user whom the
     * pool has no room for.
     * </pre>
     */
    default void submitJob(io.uwfq.v1.SubmitJobRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.SubmitJobResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getSubmitJobMethod(), responseObserver);
    }

    /**
     * <pre>
     * Adds stages to an open job.  Idempotent by stage name.  FAILED_PRECONDITION (JOB_NOT_OPEN) for a
     * stage that a job which is closed or over does not have, and for any of one that was never open.
     * </pre>
     */
    default void addStages(io.uwfq.v1.AddStagesRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.AddStagesResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getAddStagesMethod(), responseObserver);
    }

    /**
     * <pre>
     * How a stage would be cut now; for engines that plan before they submit.  Admits nothing, stores
     * nothing, does not wait for the disk.  It is advice: what is learned meanwhile may cut the same
     * stage otherwise in AddStages, and a crash may take back what the advice rested on.
     * </pre>
     */
    default void splitStage(io.uwfq.v1.SplitStageRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.SplitStageResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getSplitStageMethod(), responseObserver);
    }

    /**
     * <pre>
     * Says that waiting tasks of some stages will never run: for an engine that places tasks itself.
     * Attempts that run go on and count.  The job is not charged any longer for what was dropped.
     * Idempotent.  FAILED_PRECONDITION (TASKS_ARE_LEASED) for a job whose tasks workers lease.
     * </pre>
     */
    default void dropStages(io.uwfq.v1.DropStagesRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.DropStagesResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getDropStagesMethod(), responseObserver);
    }

    /**
     * <pre>
     * Says that no more stages will come.  Idempotent.
     * </pre>
     */
    default void closeJob(io.uwfq.v1.CloseJobRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.CloseJobResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCloseJobMethod(), responseObserver);
    }

    /**
     * <pre>
     * Cancels a job: waiting tasks go at once, workers learn of their void leases by the poll that they
     * wait in, or at their next poll, renewal or report.  Idempotent.
     * </pre>
     */
    default void cancelJob(io.uwfq.v1.CancelJobRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.CancelJobResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCancelJobMethod(), responseObserver);
    }

    /**
     * <pre>
     * Asks for work: leases on the most urgent tasks, or (for engines that place tasks themselves) the
     * ranking of the launchable stages.  A long poll; results and starts may ride along.
     * RESOURCE_EXHAUSTED for one worker more than the pool may have; FAILED_PRECONDITION
     * (POLICY_HAS_NO_RANKING) for a ranking of a pool whose policy orders by no deadlines.
     * </pre>
     */
    default void nextTask(io.uwfq.v1.NextTaskRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.NextTaskResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getNextTaskMethod(), responseObserver);
    }

    /**
     * <pre>
     * Reports how attempts ended.  Idempotent: each result counts once.
     * </pre>
     */
    default void taskDone(io.uwfq.v1.TaskDoneRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.TaskDoneResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getTaskDoneMethod(), responseObserver);
    }

    /**
     * <pre>
     * Extends leases, and tells which of them are void.
     * </pre>
     */
    default void renewLeases(io.uwfq.v1.RenewLeasesRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.RenewLeasesResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getRenewLeasesMethod(), responseObserver);
    }

    /**
     * <pre>
     * NextTask, TaskDone and RenewLeases over one stream, for engines that want no polling gap.  Each
     * request is answered once, in any order, under its own `sequence`.  Of one stream 256 are under way
     * at once, if not configured otherwise; the next is read when one of them has been answered.
     * </pre>
     */
    default io.grpc.stub.StreamObserver<io.uwfq.v1.WorkRequest> work(
        io.grpc.stub.StreamObserver<io.uwfq.v1.WorkResponse> responseObserver) {
      return io.grpc.stub.ServerCalls.asyncUnimplementedStreamingCall(getWorkMethod(), responseObserver);
    }

    /**
     * <pre>
     * One job, as it stands.  Finished jobs are kept for a configured time and number.
     * </pre>
     */
    default void getJob(io.uwfq.v1.GetJobRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.GetJobResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetJobMethod(), responseObserver);
    }

    /**
     * <pre>
     * Jobs, newest first, in pages.
     * </pre>
     */
    default void listJobs(io.uwfq.v1.ListJobsRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.ListJobsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListJobsMethod(), responseObserver);
    }

    /**
     * <pre>
     * A job's progress until its end: its state at once, then whenever it has changed (at most about ten
     * times a second), the last message being its end.
     * </pre>
     */
    default void watchJob(io.uwfq.v1.WatchJobRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.WatchJobResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getWatchJobMethod(), responseObserver);
    }

    /**
     * <pre>
     * Why a job waits: who is ahead, its position, its predicted start and finish.
     * </pre>
     */
    default void explainJob(io.uwfq.v1.ExplainJobRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.ExplainJobResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getExplainJobMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service SchedulerService.
   * <pre>
   * Submitters bring jobs, workers and engines ask what to run next and report how it went.
   * </pre>
   */
  public static abstract class SchedulerServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return SchedulerServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service SchedulerService.
   * <pre>
   * Submitters bring jobs, workers and engines ask what to run next and report how it went.
   * </pre>
   */
  public static final class SchedulerServiceStub
      extends io.grpc.stub.AbstractAsyncStub<SchedulerServiceStub> {
    private SchedulerServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected SchedulerServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new SchedulerServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Admits a job: estimates its work, cuts it into tasks, gives it a virtual deadline.  Idempotent by
     * `job_id` or `request_id`: the same content again gives the same answer, other content is
     * ALREADY_EXISTS.  RESOURCE_EXHAUSTED when a backlog limit is reached: as many unfinished jobs as the
     * user or the pool may have (200,000 and 2,000,000 if not configured otherwise), or an engine that is
     * one worker more than the pool may have; FAILED_PRECONDITION (TOO_MANY_USERS) for a user whom the
     * pool has no room for.
     * </pre>
     */
    public void submitJob(io.uwfq.v1.SubmitJobRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.SubmitJobResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getSubmitJobMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Adds stages to an open job.  Idempotent by stage name.  FAILED_PRECONDITION (JOB_NOT_OPEN) for a
     * stage that a job which is closed or over does not have, and for any of one that was never open.
     * </pre>
     */
    public void addStages(io.uwfq.v1.AddStagesRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.AddStagesResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getAddStagesMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * How a stage would be cut now; for engines that plan before they submit.  Admits nothing, stores
     * nothing, does not wait for the disk.  It is advice: what is learned meanwhile may cut the same
     * stage otherwise in AddStages, and a crash may take back what the advice rested on.
     * </pre>
     */
    public void splitStage(io.uwfq.v1.SplitStageRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.SplitStageResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getSplitStageMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Says that waiting tasks of some stages will never run: for an engine that places tasks itself.
     * Attempts that run go on and count.  The job is not charged any longer for what was dropped.
     * Idempotent.  FAILED_PRECONDITION (TASKS_ARE_LEASED) for a job whose tasks workers lease.
     * </pre>
     */
    public void dropStages(io.uwfq.v1.DropStagesRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.DropStagesResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getDropStagesMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Says that no more stages will come.  Idempotent.
     * </pre>
     */
    public void closeJob(io.uwfq.v1.CloseJobRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.CloseJobResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCloseJobMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Cancels a job: waiting tasks go at once, workers learn of their void leases by the poll that they
     * wait in, or at their next poll, renewal or report.  Idempotent.
     * </pre>
     */
    public void cancelJob(io.uwfq.v1.CancelJobRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.CancelJobResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCancelJobMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Asks for work: leases on the most urgent tasks, or (for engines that place tasks themselves) the
     * ranking of the launchable stages.  A long poll; results and starts may ride along.
     * RESOURCE_EXHAUSTED for one worker more than the pool may have; FAILED_PRECONDITION
     * (POLICY_HAS_NO_RANKING) for a ranking of a pool whose policy orders by no deadlines.
     * </pre>
     */
    public void nextTask(io.uwfq.v1.NextTaskRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.NextTaskResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getNextTaskMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Reports how attempts ended.  Idempotent: each result counts once.
     * </pre>
     */
    public void taskDone(io.uwfq.v1.TaskDoneRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.TaskDoneResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getTaskDoneMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Extends leases, and tells which of them are void.
     * </pre>
     */
    public void renewLeases(io.uwfq.v1.RenewLeasesRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.RenewLeasesResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getRenewLeasesMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * NextTask, TaskDone and RenewLeases over one stream, for engines that want no polling gap.  Each
     * request is answered once, in any order, under its own `sequence`.  Of one stream 256 are under way
     * at once, if not configured otherwise; the next is read when one of them has been answered.
     * </pre>
     */
    public io.grpc.stub.StreamObserver<io.uwfq.v1.WorkRequest> work(
        io.grpc.stub.StreamObserver<io.uwfq.v1.WorkResponse> responseObserver) {
      return io.grpc.stub.ClientCalls.asyncBidiStreamingCall(
          getChannel().newCall(getWorkMethod(), getCallOptions()), responseObserver);
    }

    /**
     * <pre>
     * One job, as it stands.  Finished jobs are kept for a configured time and number.
     * </pre>
     */
    public void getJob(io.uwfq.v1.GetJobRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.GetJobResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetJobMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Jobs, newest first, in pages.
     * </pre>
     */
    public void listJobs(io.uwfq.v1.ListJobsRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.ListJobsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListJobsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * A job's progress until its end: its state at once, then whenever it has changed (at most about ten
     * times a second), the last message being its end.
     * </pre>
     */
    public void watchJob(io.uwfq.v1.WatchJobRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.WatchJobResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getWatchJobMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Why a job waits: who is ahead, its position, its predicted start and finish.
     * </pre>
     */
    public void explainJob(io.uwfq.v1.ExplainJobRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.ExplainJobResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getExplainJobMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service SchedulerService.
   * <pre>
   * Submitters bring jobs, workers and engines ask what to run next and report how it went.
   * </pre>
   */
  public static final class SchedulerServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<SchedulerServiceBlockingV2Stub> {
    private SchedulerServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected SchedulerServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new SchedulerServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Admits a job: estimates its work, cuts it into tasks, gives it a virtual deadline.  Idempotent by
     * `job_id` or `request_id`: the same content again gives the same answer, other content is
     * ALREADY_EXISTS.  RESOURCE_EXHAUSTED when a backlog limit is reached: as many unfinished jobs as the
     * user or the pool may have (200,000 and 2,000,000 if not configured otherwise), or an engine that is
     * one worker more than the pool may have; FAILED_PRECONDITION (TOO_MANY_USERS) for a user whom the
     * pool has no room for.
     * </pre>
     */
    public io.uwfq.v1.SubmitJobResponse submitJob(io.uwfq.v1.SubmitJobRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getSubmitJobMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Adds stages to an open job.  Idempotent by stage name.  FAILED_PRECONDITION (JOB_NOT_OPEN) for a
     * stage that a job which is closed or over does not have, and for any of one that was never open.
     * </pre>
     */
    public io.uwfq.v1.AddStagesResponse addStages(io.uwfq.v1.AddStagesRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getAddStagesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * How a stage would be cut now; for engines that plan before they submit.  Admits nothing, stores
     * nothing, does not wait for the disk.  It is advice: what is learned meanwhile may cut the same
     * stage otherwise in AddStages, and a crash may take back what the advice rested on.
     * </pre>
     */
    public io.uwfq.v1.SplitStageResponse splitStage(io.uwfq.v1.SplitStageRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getSplitStageMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Says that waiting tasks of some stages will never run: for an engine that places tasks itself.
     * Attempts that run go on and count.  The job is not charged any longer for what was dropped.
     * Idempotent.  FAILED_PRECONDITION (TASKS_ARE_LEASED) for a job whose tasks workers lease.
     * </pre>
     */
    public io.uwfq.v1.DropStagesResponse dropStages(io.uwfq.v1.DropStagesRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getDropStagesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Says that no more stages will come.  Idempotent.
     * </pre>
     */
    public io.uwfq.v1.CloseJobResponse closeJob(io.uwfq.v1.CloseJobRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCloseJobMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Cancels a job: waiting tasks go at once, workers learn of their void leases by the poll that they
     * wait in, or at their next poll, renewal or report.  Idempotent.
     * </pre>
     */
    public io.uwfq.v1.CancelJobResponse cancelJob(io.uwfq.v1.CancelJobRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCancelJobMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Asks for work: leases on the most urgent tasks, or (for engines that place tasks themselves) the
     * ranking of the launchable stages.  A long poll; results and starts may ride along.
     * RESOURCE_EXHAUSTED for one worker more than the pool may have; FAILED_PRECONDITION
     * (POLICY_HAS_NO_RANKING) for a ranking of a pool whose policy orders by no deadlines.
     * </pre>
     */
    public io.uwfq.v1.NextTaskResponse nextTask(io.uwfq.v1.NextTaskRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getNextTaskMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Reports how attempts ended.  Idempotent: each result counts once.
     * </pre>
     */
    public io.uwfq.v1.TaskDoneResponse taskDone(io.uwfq.v1.TaskDoneRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getTaskDoneMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Extends leases, and tells which of them are void.
     * </pre>
     */
    public io.uwfq.v1.RenewLeasesResponse renewLeases(io.uwfq.v1.RenewLeasesRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getRenewLeasesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * NextTask, TaskDone and RenewLeases over one stream, for engines that want no polling gap.  Each
     * request is answered once, in any order, under its own `sequence`.  Of one stream 256 are under way
     * at once, if not configured otherwise; the next is read when one of them has been answered.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<io.uwfq.v1.WorkRequest, io.uwfq.v1.WorkResponse>
        work() {
      return io.grpc.stub.ClientCalls.blockingBidiStreamingCall(
          getChannel(), getWorkMethod(), getCallOptions());
    }

    /**
     * <pre>
     * One job, as it stands.  Finished jobs are kept for a configured time and number.
     * </pre>
     */
    public io.uwfq.v1.GetJobResponse getJob(io.uwfq.v1.GetJobRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetJobMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Jobs, newest first, in pages.
     * </pre>
     */
    public io.uwfq.v1.ListJobsResponse listJobs(io.uwfq.v1.ListJobsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListJobsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * A job's progress until its end: its state at once, then whenever it has changed (at most about ten
     * times a second), the last message being its end.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, io.uwfq.v1.WatchJobResponse>
        watchJob(io.uwfq.v1.WatchJobRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getWatchJobMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Why a job waits: who is ahead, its position, its predicted start and finish.
     * </pre>
     */
    public io.uwfq.v1.ExplainJobResponse explainJob(io.uwfq.v1.ExplainJobRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getExplainJobMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service SchedulerService.
   * <pre>
   * Submitters bring jobs, workers and engines ask what to run next and report how it went.
   * </pre>
   */
  public static final class SchedulerServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<SchedulerServiceBlockingStub> {
    private SchedulerServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected SchedulerServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new SchedulerServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Admits a job: estimates its work, cuts it into tasks, gives it a virtual deadline.  Idempotent by
     * `job_id` or `request_id`: the same content again gives the same answer, other content is
     * ALREADY_EXISTS.  RESOURCE_EXHAUSTED when a backlog limit is reached: as many unfinished jobs as the
     * user or the pool may have (200,000 and 2,000,000 if not configured otherwise), or an engine that is
     * one worker more than the pool may have; FAILED_PRECONDITION (TOO_MANY_USERS) for a user whom the
     * pool has no room for.
     * </pre>
     */
    public io.uwfq.v1.SubmitJobResponse submitJob(io.uwfq.v1.SubmitJobRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getSubmitJobMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Adds stages to an open job.  Idempotent by stage name.  FAILED_PRECONDITION (JOB_NOT_OPEN) for a
     * stage that a job which is closed or over does not have, and for any of one that was never open.
     * </pre>
     */
    public io.uwfq.v1.AddStagesResponse addStages(io.uwfq.v1.AddStagesRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getAddStagesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * How a stage would be cut now; for engines that plan before they submit.  Admits nothing, stores
     * nothing, does not wait for the disk.  It is advice: what is learned meanwhile may cut the same
     * stage otherwise in AddStages, and a crash may take back what the advice rested on.
     * </pre>
     */
    public io.uwfq.v1.SplitStageResponse splitStage(io.uwfq.v1.SplitStageRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getSplitStageMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Says that waiting tasks of some stages will never run: for an engine that places tasks itself.
     * Attempts that run go on and count.  The job is not charged any longer for what was dropped.
     * Idempotent.  FAILED_PRECONDITION (TASKS_ARE_LEASED) for a job whose tasks workers lease.
     * </pre>
     */
    public io.uwfq.v1.DropStagesResponse dropStages(io.uwfq.v1.DropStagesRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getDropStagesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Says that no more stages will come.  Idempotent.
     * </pre>
     */
    public io.uwfq.v1.CloseJobResponse closeJob(io.uwfq.v1.CloseJobRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCloseJobMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Cancels a job: waiting tasks go at once, workers learn of their void leases by the poll that they
     * wait in, or at their next poll, renewal or report.  Idempotent.
     * </pre>
     */
    public io.uwfq.v1.CancelJobResponse cancelJob(io.uwfq.v1.CancelJobRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCancelJobMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Asks for work: leases on the most urgent tasks, or (for engines that place tasks themselves) the
     * ranking of the launchable stages.  A long poll; results and starts may ride along.
     * RESOURCE_EXHAUSTED for one worker more than the pool may have; FAILED_PRECONDITION
     * (POLICY_HAS_NO_RANKING) for a ranking of a pool whose policy orders by no deadlines.
     * </pre>
     */
    public io.uwfq.v1.NextTaskResponse nextTask(io.uwfq.v1.NextTaskRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getNextTaskMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Reports how attempts ended.  Idempotent: each result counts once.
     * </pre>
     */
    public io.uwfq.v1.TaskDoneResponse taskDone(io.uwfq.v1.TaskDoneRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getTaskDoneMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Extends leases, and tells which of them are void.
     * </pre>
     */
    public io.uwfq.v1.RenewLeasesResponse renewLeases(io.uwfq.v1.RenewLeasesRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getRenewLeasesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * One job, as it stands.  Finished jobs are kept for a configured time and number.
     * </pre>
     */
    public io.uwfq.v1.GetJobResponse getJob(io.uwfq.v1.GetJobRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetJobMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Jobs, newest first, in pages.
     * </pre>
     */
    public io.uwfq.v1.ListJobsResponse listJobs(io.uwfq.v1.ListJobsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListJobsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * A job's progress until its end: its state at once, then whenever it has changed (at most about ten
     * times a second), the last message being its end.
     * </pre>
     */
    public java.util.Iterator<io.uwfq.v1.WatchJobResponse> watchJob(
        io.uwfq.v1.WatchJobRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getWatchJobMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Why a job waits: who is ahead, its position, its predicted start and finish.
     * </pre>
     */
    public io.uwfq.v1.ExplainJobResponse explainJob(io.uwfq.v1.ExplainJobRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getExplainJobMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service SchedulerService.
   * <pre>
   * Submitters bring jobs, workers and engines ask what to run next and report how it went.
   * </pre>
   */
  public static final class SchedulerServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<SchedulerServiceFutureStub> {
    private SchedulerServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected SchedulerServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new SchedulerServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Admits a job: estimates its work, cuts it into tasks, gives it a virtual deadline.  Idempotent by
     * `job_id` or `request_id`: the same content again gives the same answer, other content is
     * ALREADY_EXISTS.  RESOURCE_EXHAUSTED when a backlog limit is reached: as many unfinished jobs as the
     * user or the pool may have (200,000 and 2,000,000 if not configured otherwise), or an engine that is
     * one worker more than the pool may have; FAILED_PRECONDITION (TOO_MANY_USERS) for a user whom the
     * pool has no room for.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.uwfq.v1.SubmitJobResponse> submitJob(
        io.uwfq.v1.SubmitJobRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getSubmitJobMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Adds stages to an open job.  Idempotent by stage name.  FAILED_PRECONDITION (JOB_NOT_OPEN) for a
     * stage that a job which is closed or over does not have, and for any of one that was never open.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.uwfq.v1.AddStagesResponse> addStages(
        io.uwfq.v1.AddStagesRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getAddStagesMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * How a stage would be cut now; for engines that plan before they submit.  Admits nothing, stores
     * nothing, does not wait for the disk.  It is advice: what is learned meanwhile may cut the same
     * stage otherwise in AddStages, and a crash may take back what the advice rested on.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.uwfq.v1.SplitStageResponse> splitStage(
        io.uwfq.v1.SplitStageRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getSplitStageMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Says that waiting tasks of some stages will never run: for an engine that places tasks itself.
     * Attempts that run go on and count.  The job is not charged any longer for what was dropped.
     * Idempotent.  FAILED_PRECONDITION (TASKS_ARE_LEASED) for a job whose tasks workers lease.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.uwfq.v1.DropStagesResponse> dropStages(
        io.uwfq.v1.DropStagesRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getDropStagesMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Says that no more stages will come.  Idempotent.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.uwfq.v1.CloseJobResponse> closeJob(
        io.uwfq.v1.CloseJobRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCloseJobMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Cancels a job: waiting tasks go at once, workers learn of their void leases by the poll that they
     * wait in, or at their next poll, renewal or report.  Idempotent.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.uwfq.v1.CancelJobResponse> cancelJob(
        io.uwfq.v1.CancelJobRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCancelJobMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Asks for work: leases on the most urgent tasks, or (for engines that place tasks themselves) the
     * ranking of the launchable stages.  A long poll; results and starts may ride along.
     * RESOURCE_EXHAUSTED for one worker more than the pool may have; FAILED_PRECONDITION
     * (POLICY_HAS_NO_RANKING) for a ranking of a pool whose policy orders by no deadlines.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.uwfq.v1.NextTaskResponse> nextTask(
        io.uwfq.v1.NextTaskRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getNextTaskMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Reports how attempts ended.  Idempotent: each result counts once.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.uwfq.v1.TaskDoneResponse> taskDone(
        io.uwfq.v1.TaskDoneRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getTaskDoneMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Extends leases, and tells which of them are void.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.uwfq.v1.RenewLeasesResponse> renewLeases(
        io.uwfq.v1.RenewLeasesRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getRenewLeasesMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * One job, as it stands.  Finished jobs are kept for a configured time and number.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.uwfq.v1.GetJobResponse> getJob(
        io.uwfq.v1.GetJobRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetJobMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Jobs, newest first, in pages.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.uwfq.v1.ListJobsResponse> listJobs(
        io.uwfq.v1.ListJobsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListJobsMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Why a job waits: who is ahead, its position, its predicted start and finish.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.uwfq.v1.ExplainJobResponse> explainJob(
        io.uwfq.v1.ExplainJobRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getExplainJobMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_SUBMIT_JOB = 0;
  private static final int METHODID_ADD_STAGES = 1;
  private static final int METHODID_SPLIT_STAGE = 2;
  private static final int METHODID_DROP_STAGES = 3;
  private static final int METHODID_CLOSE_JOB = 4;
  private static final int METHODID_CANCEL_JOB = 5;
  private static final int METHODID_NEXT_TASK = 6;
  private static final int METHODID_TASK_DONE = 7;
  private static final int METHODID_RENEW_LEASES = 8;
  private static final int METHODID_GET_JOB = 9;
  private static final int METHODID_LIST_JOBS = 10;
  private static final int METHODID_WATCH_JOB = 11;
  private static final int METHODID_EXPLAIN_JOB = 12;
  private static final int METHODID_WORK = 13;

  private static final class MethodHandlers<Req, Resp> implements
      io.grpc.stub.ServerCalls.UnaryMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ServerStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ClientStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.BidiStreamingMethod<Req, Resp> {
    private final AsyncService serviceImpl;
    private final int methodId;

    MethodHandlers(AsyncService serviceImpl, int methodId) {
      this.serviceImpl = serviceImpl;
      this.methodId = methodId;
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public void invoke(Req request, io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        case METHODID_SUBMIT_JOB:
          serviceImpl.submitJob((io.uwfq.v1.SubmitJobRequest) request,
              (io.grpc.stub.StreamObserver<io.uwfq.v1.SubmitJobResponse>) responseObserver);
          break;
        case METHODID_ADD_STAGES:
          serviceImpl.addStages((io.uwfq.v1.AddStagesRequest) request,
              (io.grpc.stub.StreamObserver<io.uwfq.v1.AddStagesResponse>) responseObserver);
          break;
        case METHODID_SPLIT_STAGE:
          serviceImpl.splitStage((io.uwfq.v1.SplitStageRequest) request,
              (io.grpc.stub.StreamObserver<io.uwfq.v1.SplitStageResponse>) responseObserver);
          break;
        case METHODID_DROP_STAGES:
          serviceImpl.dropStages((io.uwfq.v1.DropStagesRequest) request,
              (io.grpc.stub.StreamObserver<io.uwfq.v1.DropStagesResponse>) responseObserver);
          break;
        case METHODID_CLOSE_JOB:
          serviceImpl.closeJob((io.uwfq.v1.CloseJobRequest) request,
              (io.grpc.stub.StreamObserver<io.uwfq.v1.CloseJobResponse>) responseObserver);
          break;
        case METHODID_CANCEL_JOB:
          serviceImpl.cancelJob((io.uwfq.v1.CancelJobRequest) request,
              (io.grpc.stub.StreamObserver<io.uwfq.v1.CancelJobResponse>) responseObserver);
          break;
        case METHODID_NEXT_TASK:
          serviceImpl.nextTask((io.uwfq.v1.NextTaskRequest) request,
              (io.grpc.stub.StreamObserver<io.uwfq.v1.NextTaskResponse>) responseObserver);
          break;
        case METHODID_TASK_DONE:
          serviceImpl.taskDone((io.uwfq.v1.TaskDoneRequest) request,
              (io.grpc.stub.StreamObserver<io.uwfq.v1.TaskDoneResponse>) responseObserver);
          break;
        case METHODID_RENEW_LEASES:
          serviceImpl.renewLeases((io.uwfq.v1.RenewLeasesRequest) request,
              (io.grpc.stub.StreamObserver<io.uwfq.v1.RenewLeasesResponse>) responseObserver);
          break;
        case METHODID_GET_JOB:
          serviceImpl.getJob((io.uwfq.v1.GetJobRequest) request,
              (io.grpc.stub.StreamObserver<io.uwfq.v1.GetJobResponse>) responseObserver);
          break;
        case METHODID_LIST_JOBS:
          serviceImpl.listJobs((io.uwfq.v1.ListJobsRequest) request,
              (io.grpc.stub.StreamObserver<io.uwfq.v1.ListJobsResponse>) responseObserver);
          break;
        case METHODID_WATCH_JOB:
          serviceImpl.watchJob((io.uwfq.v1.WatchJobRequest) request,
              (io.grpc.stub.StreamObserver<io.uwfq.v1.WatchJobResponse>) responseObserver);
          break;
        case METHODID_EXPLAIN_JOB:
          serviceImpl.explainJob((io.uwfq.v1.ExplainJobRequest) request,
              (io.grpc.stub.StreamObserver<io.uwfq.v1.ExplainJobResponse>) responseObserver);
          break;
        default:
          throw new AssertionError();
      }
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public io.grpc.stub.StreamObserver<Req> invoke(
        io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        case METHODID_WORK:
          return (io.grpc.stub.StreamObserver<Req>) serviceImpl.work(
              (io.grpc.stub.StreamObserver<io.uwfq.v1.WorkResponse>) responseObserver);
        default:
          throw new AssertionError();
      }
    }
  }

  public static final io.grpc.ServerServiceDefinition bindService(AsyncService service) {
    return io.grpc.ServerServiceDefinition.builder(getServiceDescriptor())
        .addMethod(
          getSubmitJobMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.uwfq.v1.SubmitJobRequest,
              io.uwfq.v1.SubmitJobResponse>(
                service, METHODID_SUBMIT_JOB)))
        .addMethod(
          getAddStagesMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.uwfq.v1.AddStagesRequest,
              io.uwfq.v1.AddStagesResponse>(
                service, METHODID_ADD_STAGES)))
        .addMethod(
          getSplitStageMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.uwfq.v1.SplitStageRequest,
              io.uwfq.v1.SplitStageResponse>(
                service, METHODID_SPLIT_STAGE)))
        .addMethod(
          getDropStagesMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.uwfq.v1.DropStagesRequest,
              io.uwfq.v1.DropStagesResponse>(
                service, METHODID_DROP_STAGES)))
        .addMethod(
          getCloseJobMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.uwfq.v1.CloseJobRequest,
              io.uwfq.v1.CloseJobResponse>(
                service, METHODID_CLOSE_JOB)))
        .addMethod(
          getCancelJobMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.uwfq.v1.CancelJobRequest,
              io.uwfq.v1.CancelJobResponse>(
                service, METHODID_CANCEL_JOB)))
        .addMethod(
          getNextTaskMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.uwfq.v1.NextTaskRequest,
              io.uwfq.v1.NextTaskResponse>(
                service, METHODID_NEXT_TASK)))
        .addMethod(
          getTaskDoneMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.uwfq.v1.TaskDoneRequest,
              io.uwfq.v1.TaskDoneResponse>(
                service, METHODID_TASK_DONE)))
        .addMethod(
          getRenewLeasesMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.uwfq.v1.RenewLeasesRequest,
              io.uwfq.v1.RenewLeasesResponse>(
                service, METHODID_RENEW_LEASES)))
        .addMethod(
          getWorkMethod(),
          io.grpc.stub.ServerCalls.asyncBidiStreamingCall(
            new MethodHandlers<
              io.uwfq.v1.WorkRequest,
              io.uwfq.v1.WorkResponse>(
                service, METHODID_WORK)))
        .addMethod(
          getGetJobMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.uwfq.v1.GetJobRequest,
              io.uwfq.v1.GetJobResponse>(
                service, METHODID_GET_JOB)))
        .addMethod(
          getListJobsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.uwfq.v1.ListJobsRequest,
              io.uwfq.v1.ListJobsResponse>(
                service, METHODID_LIST_JOBS)))
        .addMethod(
          getWatchJobMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              io.uwfq.v1.WatchJobRequest,
              io.uwfq.v1.WatchJobResponse>(
                service, METHODID_WATCH_JOB)))
        .addMethod(
          getExplainJobMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.uwfq.v1.ExplainJobRequest,
              io.uwfq.v1.ExplainJobResponse>(
                service, METHODID_EXPLAIN_JOB)))
        .build();
  }

  private static abstract class SchedulerServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    SchedulerServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.uwfq.v1.SchedulerServiceOuterClass.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("SchedulerService");
    }
  }

  private static final class SchedulerServiceFileDescriptorSupplier
      extends SchedulerServiceBaseDescriptorSupplier {
    SchedulerServiceFileDescriptorSupplier() {}
  }

  private static final class SchedulerServiceMethodDescriptorSupplier
      extends SchedulerServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    SchedulerServiceMethodDescriptorSupplier(java.lang.String methodName) {
      this.methodName = methodName;
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.MethodDescriptor getMethodDescriptor() {
      return getServiceDescriptor().findMethodByName(methodName);
    }
  }

  private static volatile io.grpc.ServiceDescriptor serviceDescriptor;

  public static io.grpc.ServiceDescriptor getServiceDescriptor() {
    io.grpc.ServiceDescriptor result = serviceDescriptor;
    if (result == null) {
      synchronized (SchedulerServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new SchedulerServiceFileDescriptorSupplier())
              .addMethod(getSubmitJobMethod())
              .addMethod(getAddStagesMethod())
              .addMethod(getSplitStageMethod())
              .addMethod(getDropStagesMethod())
              .addMethod(getCloseJobMethod())
              .addMethod(getCancelJobMethod())
              .addMethod(getNextTaskMethod())
              .addMethod(getTaskDoneMethod())
              .addMethod(getRenewLeasesMethod())
              .addMethod(getWorkMethod())
              .addMethod(getGetJobMethod())
              .addMethod(getListJobsMethod())
              .addMethod(getWatchJobMethod())
              .addMethod(getExplainJobMethod())
              .build();
        }
      }
    }
    return result;
  }
}
