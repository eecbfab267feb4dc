# event files in WORK_DIR/TIME/vis_data; look: tensorboard --logdir WORK_DIR
tracker_tensorboard = dict(type='TensorboardTracker')
