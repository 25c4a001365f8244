package io.uwfq.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * For operators.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class AdminServiceGrpc {

  private AdminServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "uwfq.v1.AdminService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.uwfq.v1.SetUserRequest,
      io.uwfq.v1.SetUserResponse> getSetUserMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "SetUser",
      requestType = io.uwfq.v1.SetUserRequest.class,
      responseType = io.uwfq.v1.SetUserResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.uwfq.v1.SetUserRequest,
      io.uwfq.v1.SetUserResponse> getSetUserMethod() {
    io.grpc.MethodDescriptor<io.uwfq.v1.SetUserRequest, io.uwfq.v1.SetUserResponse> getSetUserMethod;
    if ((getSetUserMethod = AdminServiceGrpc.getSetUserMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getSetUserMethod = AdminServiceGrpc.getSetUserMethod) == null) {
          AdminServiceGrpc.getSetUserMethod = getSetUserMethod =
              io.grpc.MethodDescriptor.<io.uwfq.v1.SetUserRequest, io.uwfq.v1.SetUserResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "SetUser"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.SetUserRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.SetUserResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("SetUser"))
              .build();
        }
      }
    }
    return getSetUserMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.uwfq.v1.ListUsersRequest,
      io.uwfq.v1.ListUsersResponse> getListUsersMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListUsers",
      requestType = io.uwfq.v1.ListUsersRequest.class,
      responseType = io.uwfq.v1.ListUsersResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.uwfq.v1.ListUsersRequest,
      io.uwfq.v1.ListUsersResponse> getListUsersMethod() {
    io.grpc.MethodDescriptor<io.uwfq.v1.ListUsersRequest, io.uwfq.v1.ListUsersResponse> getListUsersMethod;
    if ((getListUsersMethod = AdminServiceGrpc.getListUsersMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getListUsersMethod = AdminServiceGrpc.getListUsersMethod) == null) {
          AdminServiceGrpc.getListUsersMethod = getListUsersMethod =
              io.grpc.MethodDescriptor.<io.uwfq.v1.ListUsersRequest, io.uwfq.v1.ListUsersResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListUsers"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.ListUsersRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.ListUsersResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("ListUsers"))
              .build();
        }
      }
    }
    return getListUsersMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.uwfq.v1.GetPoolRequest,
      io.uwfq.v1.GetPoolResponse> getGetPoolMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetPool",
      requestType = io.uwfq.v1.GetPoolRequest.class,
      responseType = io.uwfq.v1.GetPoolResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.uwfq.v1.GetPoolRequest,
      io.uwfq.v1.GetPoolResponse> getGetPoolMethod() {
    io.grpc.MethodDescriptor<io.uwfq.v1.GetPoolRequest, io.uwfq.v1.GetPoolResponse> getGetPoolMethod;
    if ((getGetPoolMethod = AdminServiceGrpc.getGetPoolMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getGetPoolMethod = AdminServiceGrpc.getGetPoolMethod) == null) {
          AdminServiceGrpc.getGetPoolMethod = getGetPoolMethod =
              io.grpc.MethodDescriptor.<io.uwfq.v1.GetPoolRequest, io.uwfq.v1.GetPoolResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetPool"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.GetPoolRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.GetPoolResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("GetPool"))
              .build();
        }
      }
    }
    return getGetPoolMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.uwfq.v1.ListPoolsRequest,
      io.uwfq.v1.ListPoolsResponse> getListPoolsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListPools",
      requestType = io.uwfq.v1.ListPoolsRequest.class,
      responseType = io.uwfq.v1.ListPoolsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.uwfq.v1.ListPoolsRequest,
      io.uwfq.v1.ListPoolsResponse> getListPoolsMethod() {
    io.grpc.MethodDescriptor<io.uwfq.v1.ListPoolsRequest, io.uwfq.v1.ListPoolsResponse> getListPoolsMethod;
    if ((getListPoolsMethod = AdminServiceGrpc.getListPoolsMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getListPoolsMethod = AdminServiceGrpc.getListPoolsMethod) == null) {
          AdminServiceGrpc.getListPoolsMethod = getListPoolsMethod =
              io.grpc.MethodDescriptor.<io.uwfq.v1.ListPoolsRequest, io.uwfq.v1.ListPoolsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListPools"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.ListPoolsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.uwfq.v1.ListPoolsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("ListPools"))
              .build();
        }
      }
    }
    return getListPoolsMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static AdminServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AdminServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AdminServiceStub>() {
        @java.lang.Override
        public AdminServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AdminServiceStub(channel, callOptions);
        }
      };
    return AdminServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static AdminServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AdminServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AdminServiceBlockingV2Stub>() {
        @java.lang.Override
        public AdminServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AdminServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return AdminServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static AdminServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AdminServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AdminServiceBlockingStub>() {
        @java.lang.Override
        public AdminServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AdminServiceBlockingStub(channel, callOptions);
        }
      };
    return AdminServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static AdminServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AdminServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AdminServiceFutureStub>() {
        @java.lang.Override
        public AdminServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AdminServiceFutureStub(channel, callOptions);
        }
      };
    return AdminServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * For operators.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Sets a user's weight and caps in one pool, before or after the user's first job.
     * </pre>
     */
    default void setUser(io.uwfq.v1.SetUserRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.SetUserResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getSetUserMethod(), responseObserver);
    }

    /**
     * <pre>
     * The users of a pool, by name, in pages.
     * </pre>
     */
    default void listUsers(io.uwfq.v1.ListUsersRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.ListUsersResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListUsersMethod(), responseObserver);
    }

    /**
     * <pre>
     * One pool, as it stands.
     * </pre>
     */
    default void getPool(io.uwfq.v1.GetPoolRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.GetPoolResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetPoolMethod(), responseObserver);
    }

    /**
     * <pre>
     * All pools.
     * </pre>
     */
    default void listPools(io.uwfq.v1.ListPoolsRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.ListPoolsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListPoolsMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service AdminService.
   * <pre>
   * For operators.
   * </pre>
   */
  public static abstract class AdminServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return AdminServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service AdminService.
   * <pre>
   * For operators.
   * </pre>
   */
  public static final class AdminServiceStub
      extends io.grpc.stub.AbstractAsyncStub<AdminServiceStub> {
    private AdminServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AdminServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AdminServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Sets a user's weight and caps in one pool, before or after the user's first job.
     * </pre>
     */
    public void setUser(io.uwfq.v1.SetUserRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.SetUserResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getSetUserMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * The users of a pool, by name, in pages.
     * </pre>
     */
    public void listUsers(io.uwfq.v1.ListUsersRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.ListUsersResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListUsersMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * One pool, as it stands.
     * </pre>
     */
    public void getPool(io.uwfq.v1.GetPoolRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.GetPoolResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetPoolMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * All pools.
     * </pre>
     */
    public void listPools(io.uwfq.v1.ListPoolsRequest request,
        io.grpc.stub.StreamObserver<io.uwfq.v1.ListPoolsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListPoolsMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service AdminService.
   * <pre>
   * For operators.
   * </pre>
   */
  public static final class AdminServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<AdminServiceBlockingV2Stub> {
    private AdminServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AdminServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AdminServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Sets a user's weight and caps in one pool, before or after the user's first job.
     * </pre>
     */
    public io.uwfq.v1.SetUserResponse setUser(io.uwfq.v1.SetUserRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getSetUserMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * The users of a pool, by name, in pages.
     * </pre>
     */
    public io.uwfq.v1.ListUsersResponse listUsers(io.uwfq.v1.ListUsersRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListUsersMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * One pool, as it stands.
     * </pre>
     */
    public io.uwfq.v1.GetPoolResponse getPool(io.uwfq.v1.GetPoolRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetPoolMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * All pools.
     * </pre>
     */
    public io.uwfq.v1.ListPoolsResponse listPools(io.uwfq.v1.ListPoolsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListPoolsMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service AdminService.
   * <pre>
   * For operators.
   * </pre>
   */
  public static final class AdminServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<AdminServiceBlockingStub> {
    private AdminServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AdminServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AdminServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Sets a user's weight and caps in one pool, before or after the user's first job.
     * </pre>
     */
    public io.uwfq.v1.SetUserResponse setUser(io.uwfq.v1.SetUserRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getSetUserMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * The users of a pool, by name, in pages.
     * </pre>
     */
    public io.uwfq.v1.ListUsersResponse listUsers(io.uwfq.v1.ListUsersRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListUsersMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * One pool, as it stands.
     * </pre>
     */
    public io.uwfq.v1.GetPoolResponse getPool(io.uwfq.v1.GetPoolRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetPoolMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * All pools.
     * </pre>
     */
    public io.uwfq.v1.ListPoolsResponse listPools(io.uwfq.v1.ListPoolsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListPoolsMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service AdminService.
   * <pre>
   * For operators.
   * </pre>
   */
  public static final class AdminServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<AdminServiceFutureStub> {
    private AdminServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AdminServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AdminServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Sets a user's weight and caps in one pool, before or after the user's first job.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.uwfq.v1.SetUserResponse> setUser(
        io.uwfq.v1.SetUserRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getSetUserMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * The users of a pool, by name, in pages.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.uwfq.v1.ListUsersResponse> listUsers(
        io.uwfq.v1.ListUsersRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListUsersMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * One pool, as it stands.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.uwfq.v1.GetPoolResponse> getPool(
        io.uwfq.v1.GetPoolRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetPoolMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * All pools.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.uwfq.v1.ListPoolsResponse> listPools(
        io.uwfq.v1.ListPoolsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListPoolsMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_SET_USER = 0;
  private static final int METHODID_LIST_USERS = 1;
  private static final int METHODID_GET_POOL = 2;
  private static final int METHODID_LIST_POOLS = 3;

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
        case METHODID_SET_USER:
          serviceImpl.setUser((io.uwfq.v1.SetUserRequest) request,
              (io.grpc.stub.StreamObserver<io.uwfq.v1.SetUserResponse>) responseObserver);
          break;
        case METHODID_LIST_USERS:
          serviceImpl.listUsers((io.uwfq.v1.ListUsersRequest) request,
              (io.grpc.stub.StreamObserver<io.uwfq.v1.ListUsersResponse>) responseObserver);
          break;
        case METHODID_GET_POOL:
          serviceImpl.getPool((io.uwfq.v1.GetPoolRequest) request,
              (io.grpc.stub.StreamObserver<io.uwfq.v1.GetPoolResponse>) responseObserver);
          break;
        case METHODID_LIST_POOLS:
          serviceImpl.listPools((io.uwfq.v1.ListPoolsRequest) request,
              (io.grpc.stub.StreamObserver<io.uwfq.v1.ListPoolsResponse>) responseObserver);
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
        default:
          throw new AssertionError();
      }
    }
  }

  public static final io.grpc.ServerServiceDefinition bindService(AsyncService service) {
    return io.grpc.ServerServiceDefinition.builder(getServiceDescriptor())
        .addMethod(
          getSetUserMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.uwfq.v1.SetUserRequest,
              io.uwfq.v1.SetUserResponse>(
                service, METHODID_SET_USER)))
        .addMethod(
          getListUsersMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.uwfq.v1.ListUsersRequest,
              io.uwfq.v1.ListUsersResponse>(
                service, METHODID_LIST_USERS)))
        .addMethod(
          getGetPoolMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.uwfq.v1.GetPoolRequest,
              io.uwfq.v1.GetPoolResponse>(
                service, METHODID_GET_POOL)))
        .addMethod(
          getListPoolsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.uwfq.v1.ListPoolsRequest,
              io.uwfq.v1.ListPoolsResponse>(
                service, METHODID_LIST_POOLS)))
        .build();
  }

  private static abstract class AdminServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    AdminServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.uwfq.v1.AdminServiceOuterClass.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("AdminService");
    }
  }

  private static final class AdminServiceFileDescriptorSupplier
      extends AdminServiceBaseDescriptorSupplier {
    AdminServiceFileDescriptorSupplier() {}
  }

  private static final class AdminServiceMethodDescriptorSupplier
      extends AdminServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    AdminServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (AdminServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new AdminServiceFileDescriptorSupplier())
              .addMethod(getSetUserMethod())
              .addMethod(getListUsersMethod())
              .addMethod(getGetPoolMethod())
              .addMethod(getListPoolsMethod())
              .build();
        }
      }
    }
    return result;
  }
}
